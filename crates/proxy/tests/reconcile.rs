//! The loop on a kernel in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{service, snapshot};
use sealane_model::Snapshot;
use sealane_nft::Bytes;
use sealane_proxy::apply::FakeKernel;
use sealane_proxy::{Config, Error, Proxy, Status, run_with};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    kernel: FakeKernel,
    snapshots: watch::Sender<Arc<Snapshot>>,
    status: watch::Receiver<Status>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(kernel: FakeKernel) -> Self {
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::default()));
        let (sender, status) = watch::channel(Status::default());
        let shutdown = CancellationToken::new();
        let check_interval = Duration::from_millis(5);
        let config = Config { status: Some(sender), check_interval, ..Config::new("node-1") };
        let task = tokio::spawn(run_with(config, kernel.clone(), receiver, shutdown.clone()));
        Self { kernel, snapshots, status, shutdown, task }
    }

    async fn until(&mut self, reached: impl FnMut(&Status) -> bool) -> Status {
        let wait = tokio::time::timeout(Duration::from_secs(10), self.status.wait_for(reached));
        wait.await.expect("reached in time").expect("still running").clone()
    }

    async fn stop(self) -> FakeKernel {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.kernel
    }
}

fn web(ip: &str) -> sealane_model::ServiceView {
    service(&format!("web ClusterIP {ip}\nport u udp 80\nendpoint 10.244.1.10 u=80"))
}

#[tokio::test]
async fn nothing_is_written_before_all_is_known_and_then_each_change_once() {
    let mut running = Running::start(FakeKernel::default());
    let unknown = Snapshot { complete: false, ..(*snapshot([web("10.96.0.5")])).clone() };
    running.snapshots.send(unknown.into()).unwrap();
    tokio::task::yield_now().await;
    assert!(running.kernel.with(|state| state.table.is_none()));
    running.snapshots.send(snapshot([web("10.96.0.5")])).unwrap();
    running.until(|status| status.transactions == 1).await;
    running.snapshots.send(snapshot([web("10.96.0.6")])).unwrap();
    running.until(|status| status.transactions == 2).await;
    let kernel = running.stop().await;
    let (last, forgotten) = kernel.with(|state| (state.transactions[1].clone(), state.forgotten.clone()));
    assert_eq!(last.len(), 6, "an address goes and one comes, in three sets: {last:?}");
    assert_eq!(forgotten.len(), 3, "flows let through before it came, twice; flows of the one that went");
    assert!(kernel.with(|state| state.table.is_some()), "rules outlive the proxy");
}

#[tokio::test]
async fn a_refused_change_is_tried_again() {
    let kernel = FakeKernel::default();
    kernel.with(|state| state.refuse = 2);
    let mut running = Running::start(kernel);
    running.snapshots.send(snapshot([web("10.96.0.5")])).unwrap();
    running.until(|status| status.error.is_some()).await;
    let status = running.until(|status| status.synced).await;
    assert_eq!((status.error, status.transactions), (None, 1));
    running.stop().await;
}

#[test]
fn the_kernel_is_behind_from_the_first_failure_until_it_has_the_snapshot() {
    let kernel = FakeKernel::default();
    let mut proxy = Proxy::new(Config::new("node-1"), kernel.clone());
    let later = Instant::now() + Duration::from_secs(3600);
    assert!(proxy.status().behind(later) > Duration::from_secs(3590), "nothing is known of the kernel yet");
    proxy.sync(&snapshot([web("10.96.0.5")])).unwrap();
    assert_eq!((proxy.status().behind_since, proxy.status().behind(later)), (None, Duration::ZERO));
    kernel.with(|state| state.refuse = 2);
    let changed = Instant::now();
    proxy.sync(&snapshot([web("10.96.0.6")])).unwrap_err();
    let first = proxy.status().clone();
    assert!(first.behind_since.unwrap() >= changed);
    assert_eq!(first.behind(changed), Duration::ZERO, "never less than nothing");
    assert_eq!(
        first.error.as_deref().map(|error| error.starts_with("the kernel refused a change")),
        Some(true)
    );
    proxy.sync(&snapshot([web("10.96.0.7")])).unwrap_err();
    assert_eq!(proxy.status().behind_since, first.behind_since, "not since the latest try");
    proxy.sync(&snapshot([web("10.96.0.7")])).unwrap();
    assert_eq!((proxy.status().behind_since, &proxy.status().error), (None, &None));
}

#[tokio::test]
async fn a_kernel_that_does_not_answer_is_behind() {
    let mut running = Running::start(FakeKernel::default());
    running.snapshots.send(snapshot([web("10.96.0.5")])).unwrap();
    running.until(|status| status.synced && status.behind_since.is_none()).await;
    let kernel = running.kernel.clone();
    let (holding, held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    // Until it is released, or the test has failed.
    let holder = std::thread::spawn(move || {
        kernel.with(|_| {
            holding.send(()).unwrap();
            let _ = released.recv();
        });
    });
    held.recv().unwrap();
    // Whether it waits in a check of the table or for this to be written.
    running.snapshots.send(snapshot([web("10.96.0.6")])).unwrap();
    let status = running.until(|status| status.behind_since.is_some()).await;
    assert_eq!((status.error, status.transactions), (None, 1));
    drop(release);
    holder.join().unwrap();
    running.until(|status| status.behind_since.is_none() && status.transactions == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn what_someone_else_changed_is_put_right() {
    let mut running = Running::start(FakeKernel::default());
    running.snapshots.send(snapshot([web("10.96.0.5")])).unwrap();
    running.until(|status| status.synced).await;
    let table = running.kernel.with(|state| {
        let table = state.table.clone();
        state.table.as_mut().unwrap().sets.get_mut("services").unwrap().elements.remove(&Bytes::key(&[]));
        state.table.as_mut().unwrap().chains.get_mut("services").unwrap().rules.clear();
        state.touched = true;
        table
    });
    running.until(|status| status.repairs == 1).await;
    assert_eq!(running.stop().await.with(|state| state.table.clone()), table);
}

#[tokio::test]
async fn it_ends_when_nobody_publishes_any_more() {
    let running = Running::start(FakeKernel::default());
    drop(running.snapshots);
    assert!(matches!(running.task.await.unwrap(), Err(Error::NoMoreSnapshots)));
}
