//! Endpoints of Services that select Pods: the old form, still read by many.

mod plan;

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use crate::slices;
use kube::api::{DeleteParams, Preconditions};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Label of the Endpoints that are ours (v1.33).
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
/// Services that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("endpoints"));
    let adder = queue.clone();
    cluster.services.on_change(move |change| adder.add(change.key.clone()));
    let adder = queue.clone();
    cluster.endpoints.on_change(move |change| adder.add(change.key.clone()));
    crate::endpointslice::watch_pods(cluster, &queue);
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let current = cluster.endpoints.get(&key);
    let service = cluster.services.get(&key);
    let selecting = service.as_ref().filter(|service| slices::selecting_spec(service).is_some());
    let Some(service) = selecting else {
        // Those of a Service that is gone, or no longer selects, go; hand-made ones are not ours.
        let ours = current.filter(|endpoints| {
            let by = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
            by.is_some_and(|by| by == CONTROLLER)
        });
        let stays = service
            .as_ref()
            .is_some_and(|s| s.spec.as_ref().is_some_and(|s| s.type_.as_deref() != Some("ExternalName")));
        if let Some(endpoints) = ours.filter(|_| !stays) {
            let preconditions =
                Some(Preconditions { uid: endpoints.metadata.uid.clone(), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            cluster.endpoints.delete(&key, &parameters).await?;
        }
        return Ok(Next::Wait);
    };
    if service.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let pods = slices::selected(cluster.pods.in_namespace(&key.namespace), service);
    match (plan::plan(service, &pods, current.as_deref()), &current) {
        (None, _) => {}
        (Some(patch), Some(_)) => absent_is_fine(cluster.endpoints.patch(&key, Write::Merge, &patch).await)?,
        (Some(endpoints), None) => match cluster.endpoints.create(&key.namespace, endpoints).await {
            Err(error) if error.is_namespace_terminating() => {}
            other => other.map(|_| ())?,
        },
    }
    Ok(Next::Wait)
}
