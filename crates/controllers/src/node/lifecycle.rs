//! Watches the heart-beat of nodes. One that falls silent is Unknown, tainted, and its Pods leave their Services; when
//! it speaks again its own agent says that it is Ready, and the taints go.
//!
//! Silence is measured by our own clock between changes of the node's Lease (or status), never by comparing clocks.

use super::plan;
use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write, lock};
use crate::owner;
use crate::pod;
use crate::queue::{Next, Queue};
use crate::recorder::Note;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const COMPONENT: &str = "node-controller";
const LEASES: &str = "kube-node-lease";
/// Nodes that are worked on at the same time.
const AT_ONCE: usize = 8;

/// When each node was last heard of.
type Heard = Mutex<HashMap<String, Instant>>;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("node-lifecycle"));
    let heard = Arc::new(Heard::default());
    listen(cluster, &queue, &heard);
    let adder = queue.clone();
    cluster.pods.on_change(move |change| {
        // A Pod that came to a silent node.
        if let Some(node) = change.new.as_ref().and_then(|pod| pod::node_name(pod))
            && change.old.as_ref().and_then(|pod| pod::node_name(pod)) != Some(node)
        {
            adder.add(node.to_owned());
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |name| reconcile(&cluster, &heard, name)).await;
    }
}

/// Notes every sign of life: a renewed Lease, or a status that the node itself wrote.
fn listen(cluster: &Cluster, queue: &Arc<Queue<String>>, heard: &Arc<Heard>) {
    let (adder, hear) = (queue.clone(), heard.clone());
    cluster.leases.on_change(move |change| {
        let renewed = |lease: &Arc<k8s_openapi::api::coordination::v1::Lease>| {
            lease.spec.clone().and_then(|s| s.renew_time)
        };
        if change.key.namespace == LEASES
            && change.new.as_ref().map(renewed) != change.old.as_ref().map(renewed)
        {
            let first = lock(&hear).insert(change.key.name.clone(), Instant::now()).is_none();
            if first {
                adder.add(change.key.name.clone());
            }
        }
    });
    let (adder, hear) = (queue.clone(), heard.clone());
    cluster.nodes.on_change(move |change| {
        let said =
            |node: &Arc<Node>| node.status.as_ref().map(|status| heartbeats(status.conditions.as_deref()));
        let before = change.old.as_ref().map(said);
        // Our own words are no sign of life.
        let unknown = change.new.as_ref().is_some_and(|node| plan::ready(node) == Some("Unknown"));
        if change.new.is_some() && !unknown && change.new.as_ref().map(said) != before {
            lock(&hear).insert(change.key.name.clone(), Instant::now());
        }
        adder.add(change.key.name.clone());
    });
}

fn heartbeats(
    conditions: Option<&[k8s_openapi::api::core::v1::NodeCondition]>,
) -> Vec<(String, Option<Timestamp>)> {
    let conditions = conditions.into_iter().flatten();
    conditions.map(|c| (c.status.clone(), c.last_heartbeat_time.as_ref().map(|time| time.0))).collect()
}

async fn reconcile(cluster: &Cluster, heard: &Heard, name: String) -> Result<Next, Error> {
    let key = Key::new("", &name);
    let Some(node) = cluster.nodes.get(&key) else {
        lock(heard).remove(&name);
        return Ok(Next::Wait);
    };
    let grace = cluster.config.node_monitor_grace;
    let last = *lock(heard).entry(name).or_insert_with(Instant::now);
    let quiet = last.elapsed();
    let now = Timestamp::now();
    let mut node = node;
    if quiet >= grace
        && let Some(patch) = plan::silence(&node, now)
    {
        node = cluster.nodes.patch(&key, Write::StrategicStatus, &patch).await?;
        let text = format!("Node {key} status is now: NodeNotReady");
        cluster.record(COMPONENT, node.as_ref(), [Note::normal("NodeNotReady", text)]);
    }
    if let Some(taints) = plan::taints(&node, now) {
        let patch = json!({
            "metadata": {"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version},
            "spec": {"taints": if taints.is_empty() { json!(null) } else { json!(taints) }},
        });
        node = cluster.nodes.patch(&key, Write::Merge, &patch).await?;
    }
    let left = evict(cluster, &node, now).await?;
    // A silent node is looked at again when it speaks; a speaking one when it may have fallen silent.
    let silence = (quiet < grace).then(|| grace - quiet);
    let soonest = left.into_iter().chain(silence).min();
    Ok(soonest.map_or(Next::Wait, Next::After))
}

/// Marks the Pods of a silent node unready and deletes those whose patience is over. The time until the next one's is.
async fn evict(cluster: &Cluster, node: &Node, now: Timestamp) -> Result<Option<Duration>, Error> {
    let taints =
        node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
    let silent = plan::ready(node) == Some("Unknown");
    if !taints && !silent {
        return Ok(None);
    }
    let name = owner::name(&node.metadata);
    let default = SignedDuration::try_from(cluster.config.default_toleration).unwrap_or(SignedDuration::MAX);
    let mut soonest: Option<Duration> = None;
    for pod in cluster.pods.all().iter().filter(|pod| pod::node_name(pod) == Some(name)) {
        if silent && let Some(patch) = plan::unready(pod, now) {
            absent_is_fine(
                cluster.pods.patch(&Key::of(&pod.metadata), Write::StrategicStatus, &patch).await,
            )?;
            cluster.record(COMPONENT, pod.as_ref(), [Note::warning("NodeNotReady", "Node is not ready")]);
        }
        let leave = plan::eviction(node, pod, default).filter(|_| pod.metadata.deletion_timestamp.is_none());
        let Some(leave) = leave else { continue };
        match Duration::try_from(leave.duration_since(now)) {
            Ok(left) if !left.is_zero() => soonest = Some(soonest.map_or(left, |soonest| soonest.min(left))),
            _ => evict_one(cluster, pod).await?,
        }
    }
    Ok(soonest)
}

async fn evict_one(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    let key = Key::of(&pod.metadata);
    let text = format!("Marking for deletion Pod {key}");
    cluster.record("taint-eviction-controller", pod, [Note::normal("TaintManagerEviction", text)]);
    let preconditions = Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
    cluster.pods.delete(&key, &DeleteParams { preconditions, ..DeleteParams::default() }).await
}
