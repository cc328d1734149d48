//! Pods that nobody will ever end: of nodes that are gone, and deleted before they had a node.

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::pod;
use crate::queue::{Next, Queue};
use crate::recorder::seconds;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a node may be gone before its Pods are: it may be registering anew.
const QUARANTINE: Duration = Duration::from_secs(40);
/// Pods that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("pod-gc"));
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.pods.on_change(move |change| {
        let (Some(pod), Some(cluster)) = (&change.new, weak.upgrade()) else { return };
        match pod::node_name(pod) {
            Some(node) if cluster.nodes.get(&Key::new("", node)).is_none() => {
                adder.add_after(change.key.clone(), QUARANTINE)
            }
            None if pod.metadata.deletion_timestamp.is_some() => adder.add(change.key.clone()),
            _ => {}
        }
    });
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.nodes.on_change(move |change| {
        let Some(cluster) = weak.upgrade().filter(|_| change.new.is_none()) else { return };
        for pod in cluster.pods.all().iter().filter(|pod| pod::node_name(pod) == Some(&change.key.name)) {
            adder.add_after(Key::of(&pod.metadata), QUARANTINE);
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(pod) = cluster.pods.get(&key) else { return Ok(Next::Wait) };
    let known = |name: &str| cluster.nodes.get(&Key::new("", name)).is_some();
    if !is_orphan(&pod, known) {
        return Ok(Next::Wait);
    }
    if !pod::is_finished(&pod) && pod::node_name(&pod).is_some() {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": seconds(Timestamp::now()),
        });
        let status = json!({"phase": "Failed", "conditions": [condition]});
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
        crate::error::absent_is_fine(cluster.pods.patch(&key, Write::StrategicStatus, &patch).await)?;
    }
    let preconditions = Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
    let parameters = DeleteParams { preconditions, grace_period_seconds: Some(0), ..DeleteParams::default() };
    cluster.pods.delete(&key, &parameters).await?;
    Ok(Next::Wait)
}

fn is_orphan(pod: &Pod, known: impl Fn(&str) -> bool) -> bool {
    match pod::node_name(pod) {
        Some(node) => !known(node),
        None => pod.metadata.deletion_timestamp.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans() {
        let table = [
            (json!({"spec": {"containers": [], "nodeName": "here"}}), false),
            (json!({"spec": {"containers": [], "nodeName": "gone"}}), true),
            (json!({"spec": {"containers": []}}), false),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"containers": []}}),
                true,
            ),
        ];
        for (pod, expected) in table {
            let parsed: Pod = serde_json::from_value(pod.clone()).unwrap();
            assert_eq!(is_orphan(&parsed, |name| name == "here"), expected, "{pod}");
        }
    }
}
