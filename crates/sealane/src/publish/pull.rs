//! Pulls images for the nodes, whose namespaces lead to no registry.

use crate::cluster::{Cluster, Egress};
use sealane_node::runtime::images::{ImageStore, PullError, Puller, serve_pulls};
use tokio_util::sync::CancellationToken;

/// Serves the cluster's pulls until `shutdown`. Under `--egress none` no registry but this machine's own is dialled.
pub(super) async fn serve(cluster: Cluster, shutdown: CancellationToken) {
    // Ports are relayed all the same; a Pod that needs a pull says what it misses.
    if let Err(error) = try_serve(cluster, shutdown).await {
        tracing::error!(%error, "no images can be pulled");
    }
}

async fn try_serve(cluster: Cluster, shutdown: CancellationToken) -> Result<(), PullError> {
    let paths = cluster.paths();
    let store = ImageStore::open(paths.images())?;
    let puller = Puller::new(store, cluster.egress == Egress::None)?;
    serve_pulls(puller, &paths.pull_socket(), shutdown).await
}
