//! Endpoints written by hand, for Services that select nothing, are mirrored into EndpointSlices (KEP-752).

mod plan;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::Key;
use crate::queue::{Next, Queue};
use crate::slices;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Value of label `endpointslice.kubernetes.io/managed-by`.
const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// Endpoints that are worked on at the same time.
const AT_ONCE: usize = 4;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("endpointslice-mirroring"));
    let adder = queue.clone();
    cluster.endpoints.on_change(move |change| adder.add(change.key.clone()));
    let adder = queue.clone();
    cluster.services.on_change(move |change| adder.add(change.key.clone()));
    let adder = queue.clone();
    cluster.endpoint_slices.on_change(move |change| {
        for slice in change.sides().filter(|slice| slices::is_managed_by(slice, CONTROLLER)) {
            adder.add(slices::service_of(slice));
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let existing = slices::existing(cluster, &key, CONTROLLER);
    let (service, endpoints) = (cluster.services.get(&key), cluster.endpoints.get(&key));
    let mirrored = endpoints.filter(|endpoints| is_mirrored(service.as_deref(), endpoints));
    if mirrored.is_none() && existing.is_empty() {
        return Ok(Next::Wait);
    }
    slices::apply(cluster, &key.namespace, plan::plan(mirrored.as_deref(), &existing)).await?;
    Ok(Next::Wait)
}

/// Hand-made, for a Service that has no selector, and not excluded.
fn is_mirrored(service: Option<&Service>, endpoints: &Endpoints) -> bool {
    let meta = &endpoints.metadata;
    let skipped = meta.labels.as_ref().and_then(|l| l.get("endpointslice.kubernetes.io/skip-mirror"));
    let elected =
        meta.annotations.as_ref().is_some_and(|a| a.contains_key("control-plane.alpha.kubernetes.io/leader"));
    let spec = service.and_then(|service| service.spec.as_ref());
    let selectorless = spec.is_some_and(|spec| spec.selector.as_ref().is_none_or(|s| s.is_empty()));
    selectorless && !elected && skipped.is_none_or(|skip| skip != "true") && meta.deletion_timestamp.is_none()
}
