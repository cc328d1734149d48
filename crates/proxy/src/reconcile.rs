//! The loop: waits for a Snapshot, plans what changed, applies it, and looks after what others change.

use crate::apply::{ApplyFailure, Backend, Kernel};
use crate::config::{Config, ConfigError};
use crate::proxy::{Proxy, Status};
use crate::report::report;
use kube::Client;
use sealane_model::Snapshot;
use std::sync::Arc;
use std::time::Duration;
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
            let (next, failed) = step(proxy, move |proxy| proxy.sync(&snapshot)).await?;
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
                    let (next, failed) = step(proxy, Proxy::check).await?;
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

/// One blocking step off the runtime's threads; says whether it failed.
async fn step<B: Backend>(
    mut proxy: Proxy<B>,
    work: impl FnOnce(&mut Proxy<B>) -> Result<(), ApplyFailure> + Send + 'static,
) -> Result<(Proxy<B>, bool), Error> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&mut proxy);
        (proxy, done)
    });
    let (proxy, done) = done.await?;
    if let Err(failure) = &done {
        tracing::error!("{failure}");
    }
    if let Some(status) = &proxy.config.status {
        status.send_if_modified(|told| {
            let modified = told != proxy.status();
            told.clone_from(proxy.status());
            modified
        });
    }
    Ok((proxy, done.is_err()))
}

/// Removes all that the proxy has made in this thread's network namespace.
///
/// # Errors
/// The kernel refused.
pub fn cleanup() -> Result<(), Error> {
    Kernel::open()?.remove_all(Some(crate::DEFAULT_LOOPBACK_SOURCE))?;
    Ok(())
}
