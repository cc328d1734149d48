//! EndpointSlices of Services that select Pods.

pub(crate) mod plan;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::Key;
use crate::queue::{Next, Queue};
use crate::slices;
use k8s_openapi::api::core::v1::Node;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Value of label `endpointslice.kubernetes.io/managed-by`.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Services that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("endpointslice"));
    let adder = queue.clone();
    cluster.services.on_change(move |change| adder.add(change.key.clone()));
    let adder = queue.clone();
    cluster.endpoint_slices.on_change(move |change| {
        for slice in change.sides().filter(|slice| slices::is_managed_by(slice, CONTROLLER)) {
            adder.add(slices::service_of(slice));
        }
    });
    watch_pods(cluster, &queue);
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.nodes.on_change(move |change| {
        // Nodes matter by being there and by their zone.
        let known =
            |node: &Option<Arc<Node>>| node.as_ref().map(|node| slices::zone(node).map(str::to_owned));
        let Some(cluster) = weak.upgrade().filter(|_| known(&change.old) != known(&change.new)) else {
            return;
        };
        for service in cluster.services.all() {
            adder.add(Key::of(&service.metadata));
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

/// Adds the Services that a changed Pod belongs or belonged to.
pub(crate) fn watch_pods(cluster: &Arc<Cluster>, queue: &Arc<Queue<Key>>) {
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.pods.on_change(move |change| {
        let Some(cluster) = weak.upgrade() else { return };
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && !slices::matters(old, new)
        {
            return;
        }
        let services = cluster.services.in_namespace(&change.key.namespace);
        for pod in change.sides() {
            slices::selecting(&services, pod).into_iter().for_each(|key| adder.add(key));
        }
    });
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    // The slices of a Service that is gone go by their owner reference.
    let Some(service) = cluster.services.get(&key) else { return Ok(Next::Wait) };
    if service.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let spec = service.spec.as_ref();
    let external = spec.is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"));
    if slices::selecting_spec(&service).is_none() && !external {
        return Ok(Next::Wait);
    }
    let existing = slices::existing(cluster, &key, CONTROLLER);
    let pods = slices::selected(cluster.pods.in_namespace(&key.namespace), &service);
    let node = |name: &str| cluster.nodes.get(&Key::new("", name));
    let changes = plan::plan(&service, &pods, node, &existing);
    slices::apply(cluster, &key.namespace, changes).await?;
    Ok(Next::Wait)
}
