//! The scheduler: binds Pods to nodes, all that wait in one go.

pub(crate) mod fit;
mod plan;
mod quantity;

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write, lock};
use crate::owner;
use crate::pod;
use crate::queue::{Next, Queue};
use crate::recorder::{Note, seconds};
use futures::stream::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::request::Request;
use plan::{Decision, plan};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

const COMPONENT: &str = "default-scheduler";
/// Bindings under way at the same time.
const AT_ONCE: usize = 64;
/// The one key: all Pods that wait.
const WAITING: &str = "waiting";

/// Bindings that the API has taken and the cache does not show yet: uid → node.
type Assumed = Mutex<HashMap<String, String>>;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("scheduler"));
    let assumed = Arc::new(Assumed::default());
    let (adder, known) = (queue.clone(), assumed.clone());
    cluster.pods.on_change(move |change| {
        let placed = change.new.as_ref().is_none_or(|pod| pod::node_name(pod).is_some());
        if placed && let Some(pod) = change.latest() {
            lock(&known).remove(owner::uid(&pod.metadata));
        }
        let freed = |pod: &Arc<Pod>| pod::node_name(pod).is_some() && !pod::is_finished(pod);
        let frees = change.old.as_ref().is_some_and(freed) && !change.new.as_ref().is_some_and(freed);
        // A waiting Pod whose condition was just written has nothing new to say.
        let same =
            change.old.as_ref().zip(change.new.as_ref()).is_some_and(|(old, new)| old.spec == new.spec);
        if frees || change.new.as_ref().is_some_and(|pod| plan::waits(pod) && !same) {
            adder.add(WAITING);
        }
    });
    let adder = queue.clone();
    cluster.nodes.on_change(move |change| {
        if change.old.as_deref().map(facts) != change.new.as_deref().map(facts) {
            adder.add(WAITING);
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(1, &shutdown, |_| reconcile(&cluster, &assumed)).await;
    }
}

/// What the scheduler looks at in a node: all but its heart-beat.
fn facts(node: &Node) -> Value {
    let ready = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = ready.into_iter().flatten().find(|c| c.type_ == "Ready").map(|c| c.status.clone());
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let spec = node.spec.as_ref();
    json!([
        node.metadata.labels,
        spec.map(|spec| json!([spec.taints, spec.unschedulable])),
        allocatable,
        ready
    ])
}

async fn reconcile(cluster: &Cluster, assumed: &Assumed) -> Result<Next, Error> {
    let pods = cluster.pods.all();
    let decisions = {
        let assumed = lock(assumed).clone();
        plan(&cluster.nodes.all(), &pods, &assumed)
    };
    let work = decisions.into_iter().map(|decision| async {
        match decision {
            Decision::Bind(pod, node) => bind(cluster, assumed, &pod, &node).await,
            Decision::Unschedulable(pod, why) => explain(cluster, &pod, &why).await,
        }
    });
    futures::stream::iter(work).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(Next::Wait)
}

async fn bind(cluster: &Cluster, assumed: &Assumed, pod: &Pod, node: &str) -> Result<(), Error> {
    let key = Key::of(&pod.metadata);
    let doing = format!("binding Pod {key} to {node}");
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": pod.metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let body = serde_json::to_vec(&binding).map_err(Error::json(doing.clone()))?;
    let path = Request::new(format!("/api/v1/namespaces/{}/pods", key.namespace));
    let request = path.create_subresource("binding", &key.name, &PostParams::default(), body);
    let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
    let uid = owner::uid(&pod.metadata).to_owned();
    // Before the request: the watch may show the binding before the answer is here.
    lock(assumed).insert(uid.clone(), node.to_owned());
    match cluster.client.request::<Value>(request).await.map_err(Error::api(doing)) {
        Ok(_) => {
            if cluster.pods.get(&key).is_none_or(|pod| pod::node_name(&pod).is_some()) {
                lock(assumed).remove(&uid);
            }
            let text = format!("Successfully assigned {key} to {node}");
            cluster.record(COMPONENT, pod, [Note::normal("Scheduled", text)]);
            Ok(())
        }
        Err(error) => {
            lock(assumed).remove(&uid);
            // Gone, or bound by somebody else: the watch will tell.
            if error.is_not_found() || error.is_conflict() { Ok(()) } else { Err(error) }
        }
    }
}

/// Says in the Pod's conditions, and once as an event, why it waits.
async fn explain(cluster: &Cluster, pod: &Pod, why: &str) -> Result<(), Error> {
    let current = pod::condition(pod, "PodScheduled");
    if current.is_some_and(|c| c.status == "False" && c.message.as_deref() == Some(why)) {
        return Ok(());
    }
    cluster.record(COMPONENT, pod, [Note::warning("FailedScheduling", why)]);
    let since = current
        .filter(|c| c.status == "False")
        .and_then(|c| c.last_transition_time.as_ref())
        .map(|time| time.0);
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why,
        "lastProbeTime": null, "lastTransitionTime": seconds(since.unwrap_or_else(Timestamp::now)),
    });
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
    absent_is_fine(cluster.pods.patch(&Key::of(&pod.metadata), Write::StrategicStatus, &patch).await)
}
