//! The `publish` process: every NodePort and load-balancer port of the cluster on the host, at the same number.
//!
//! It relays each connection into a Ready node's NodePort, from where the node's own rules take it on. It keeps its last view on
//! disk, so that it serves at once after a restart, also while the API is away.

mod listeners;
mod plan;
mod pull;
mod report;
mod tcp;
mod udp;

use crate::cli::CommandError;
use crate::cluster::{Cluster, write_atomically};
use crate::run::client;
use crate::wire::Residence;
use listeners::Listeners;
use plan::Published;
use sealane_model::Snapshot;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long until a port that was taken is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// Relays until it is told to end.
pub(crate) fn run(cluster: &Cluster) -> Result<(), CommandError> {
    crate::run::serve(2, |shutdown| serve(cluster, shutdown))
}

async fn serve(cluster: &Cluster, shutdown: CancellationToken) -> Result<(), CommandError> {
    let paths = cluster.paths();
    let residence = Residence::new(paths.netns("wire"))?;
    let client = client::for_host(cluster, "publish").await?;
    let (sender, mut snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let edge = tokio::spawn(sealane_edge::run(client.clone(), sender, shutdown.clone()));
    let view = paths.run.join("publish.json");
    let mut wanted = read_view(&view);
    let mut listeners = Listeners::new(cluster.publish, residence);
    let mut report = report::Report::new(client);
    let pulls = tokio::spawn(pull::serve(cluster.clone(), shutdown.clone()));
    loop {
        let taken = listeners.apply(&wanted);
        report.taken(&taken);
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    break;
                }
                let snapshot = snapshots.borrow_and_update().clone();
                if snapshot.complete {
                    wanted = plan::plan(&snapshot);
                    write_view(&view, &wanted);
                }
            }
            () = tokio::time::sleep(RETRY), if !taken.is_empty() => {}
            () = shutdown.cancelled() => break,
        }
    }
    edge.await?;
    pulls.await?;
    Ok(())
}

fn read_view(path: &Path) -> Vec<Published> {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write_view(path: &Path, wanted: &[Published]) {
    let text = serde_json::to_vec(wanted).expect("plain data");
    if let Err(error) = write_atomically(path, &text, 0o600) {
        tracing::warn!(%error, "keeping the list of published ports");
    }
}
