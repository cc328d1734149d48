//! The loop: waits for a Snapshot, plans what changed, applies it, and looks after what others change.

use crate::apply::{ApplyFailure, Backend, Kernel};
use crate::config::{Config, ConfigError};
use crate::proxy::{Proxy, Status};
use crate::report::report;
use kube::Client;
use sealane_model::Snapshot;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));

/// Why the proxy ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("proxy configuration: {0}")]
    Config(#[from] ConfigError),
    /// The kernel cannot be reached at all.
    #[error("starting the proxy: {0}")]
    Kernel(#[from] ApplyFailure),
    /// Nobody publishes Snapshots any more.
    #[error("the watch of Services has ended")]
    NoMoreSnapshots,
    /// A step panicked.
    #[error("a step of the proxy failed: {0}")]
    Step(#[from] tokio::task::JoinError),
}

/// Runs the proxy of this thread's network namespace until `shutdown`. The rules stay when it ends: connections go on.
/// What is wrong with a Service becomes an Event on it, written with `client`.
///
/// # Errors
/// The configuration cannot be used, the kernel has no nftables, or Snapshots end.
pub async fn run(
    mut config: Config,
    client: Client,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    config.validate()?;
    let mut kernel = Kernel::open()?;
    if let Some(source) = config.loopback_source {
        kernel.add_loopback_source(source)?;
    }
    let status = config.status.get_or_insert_with(|| watch::Sender::new(Status::default())).subscribe();
    let report = report(client, config.node_name.clone(), status, shutdown.clone());
    let proxy = run_with(config, kernel, snapshots, shutdown);
    tokio::pin!(proxy);
    // Events never hold the proxy up, and end with it.
    tokio::select! {
        ended = &mut proxy => ended,
        () = report => proxy.await,
    }
}

/// The same on any backend.
///
/// # Errors
/// The configuration cannot be used, or Snapshots end.
pub async fn run_with<B: Backend>(
    config: Config,
    backend: B,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    config.validate()?;
    let mut proxy = Proxy::new(config, backend);
    let mut backoff = None;
    let mut due = true;
    loop {
        if due {
            let snapshot = snapshots.borrow_and_update().clone();
            if snapshot.complete {
                proxy.fall_behind(Instant::now());
            }
            let (next, failed) = step(proxy, &snapshots, move |proxy| proxy.sync(&snapshot)).await?;
            proxy = next;
            backoff = failed.then(|| next_backoff(backoff));
        }
        let pause = backoff.unwrap_or(proxy.config.check_interval);
        due = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            changed = snapshots.changed(), if backoff.is_none() => {
                changed.map_err(|_| Error::NoMoreSnapshots)?;
                true
            }
            () = tokio::time::sleep(pause) => {
                if backoff.is_none() {
                    let (next, failed) = step(proxy, &snapshots, Proxy::check).await?;
                    proxy = next;
                    backoff = failed.then(|| next_backoff(None));
                }
                backoff.is_some()
            }
        };
    }
}

fn next_backoff(last: Option<Duration>) -> Duration {
    last.map_or(BACKOFF.0, |last| (last * 2).min(BACKOFF.1))
}

/// One blocking step off the runtime's threads; says whether it failed. A Snapshot that comes meanwhile is told of at once:
/// a kernel that does not answer is behind, too.
async fn step<B: Backend>(
    mut proxy: Proxy<B>,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    work: impl FnOnce(&mut Proxy<B>) -> Result<(), ApplyFailure> + Send + 'static,
) -> Result<(Proxy<B>, bool), Error> {
    tell(&proxy);
    let told = proxy.config.status.clone();
    // A copy: the loop has yet to see that one has come.
    let mut newer = snapshots.clone();
    let mut working = tokio::task::spawn_blocking(move || {
        let done = work(&mut proxy);
        (proxy, done)
    });
    let (proxy, done) = tokio::select! {
        done = &mut working => done?,
        Ok(()) = newer.changed() => {
            let since = Instant::now();
            if let Some(told) = told {
                told.send_modify(|told| {
                    told.behind_since.get_or_insert(since);
                });
            }
            let (mut proxy, done) = working.await?;
            proxy.fall_behind(since);
            (proxy, done)
        }
    };
    if let Err(failure) = &done {
        tracing::error!("{failure}");
    }
    tell(&proxy);
    Ok((proxy, done.is_err()))
}

/// Tells whoever watches the status, if it is another than before.
fn tell<B: Backend>(proxy: &Proxy<B>) {
    if let Some(status) = &proxy.config.status {
        status.send_if_modified(|told| {
            let modified = told != proxy.status();
            told.clone_from(proxy.status());
            modified
        });
    }
}

/// Removes all that the proxy has made in this thread's network namespace.
///
/// # Errors
/// The kernel refused.
pub fn cleanup() -> Result<(), Error> {
    Kernel::open()?.remove_all(Some(crate::DEFAULT_LOOPBACK_SOURCE))?;
    Ok(())
}
