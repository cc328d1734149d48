//! ReplicaSet: as many Pods as its spec says.

mod claim;
mod plan;
mod rank;
mod status;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::owner::{self, controller_of};
use crate::queue::{Next, Queue};
use crate::recorder::Note;
use claim::Claim;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use plan::{Plan, plan};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(crate) use claim::claim;

const COMPONENT: &str = "replicaset-controller";
/// ReplicaSets that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("replicaset"));
    let adder = queue.clone();
    cluster.replica_sets.on_change(move |change| adder.add(change.key.clone()));
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.pods.on_change(move |change| {
        let Some(cluster) = weak.upgrade() else { return };
        for pod in change.sides() {
            affected(&cluster, pod).into_iter().for_each(|key| adder.add(key));
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

/// The ReplicaSets that a Pod matters to: its owner, or those that would adopt it.
fn affected(cluster: &Cluster, pod: &Pod) -> Vec<Key> {
    let namespace = owner::namespace(&pod.metadata);
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "ReplicaSet" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let sets = cluster.replica_sets.in_namespace(namespace);
            let selects = |set: &&Arc<ReplicaSet>| {
                let selector = set.spec.as_ref().map(|spec| &spec.selector);
                selector.is_some_and(|s| crate::selector::matches(s, pod.metadata.labels.as_ref()))
            };
            sets.iter().filter(selects).map(|set| Key::of(&set.metadata)).collect()
        }
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(set) = cluster.replica_sets.get(&key) else { return Ok(Next::Wait) };
    let Some(spec) = &set.spec else { return Ok(Next::Wait) };
    let claims = claim(&set.metadata, &spec.selector, cluster.pods.in_namespace(&key.namespace), |pod| {
        !crate::pod::is_finished(pod)
    });
    let reference = owner::controller_reference(set.as_ref());
    adopt_and_release(&cluster.pods, &claims, &set.metadata, &reference).await?;
    let owned: Vec<Arc<Pod>> = claims.owned.into_iter().chain(claims.adopt).collect();
    let everywhere = related(cluster, &set, &owned);
    let plan = plan(&set, &owned, &everywhere, Timestamp::now());
    let outcome = carry_out(cluster, &set, &plan).await;
    // Count again what is there now: the status tells of what was just done.
    let now = Timestamp::now();
    let pods = cluster.pods.in_namespace(&key.namespace);
    let owned: Vec<Arc<Pod>> = pods
        .into_iter()
        .filter(|pod| owner::is_controlled_by(&pod.metadata, owner::uid(&set.metadata)))
        .collect();
    let failure = outcome.as_ref().err().map(|error| (plan.create > 0, error.api_message()));
    if let Some(patch) = status::patch(&set, &owned, failure, now) {
        crate::error::absent_is_fine(cluster.replica_sets.patch(&key, Write::Status, &patch).await)?;
    }
    outcome?;
    Ok(status::next_look(&set, &owned, now))
}

/// Makes the owner references what a claim says they are to be.
pub(crate) async fn adopt_and_release<K: crate::objects::Object>(
    objects: &crate::objects::Objects<K>,
    claims: &Claim<K>,
    owner: &kube::core::ObjectMeta,
    reference: &Value,
) -> Result<(), Error> {
    for object in &claims.adopt {
        let references = owner::adopted(object.meta(), reference.clone());
        let patch = owner::precise(object.meta(), "ownerReferences", references);
        objects.patch(&Key::of(object.meta()), Write::Merge, &patch).await?;
    }
    for object in &claims.release {
        let patch = owner::precise(
            object.meta(),
            "ownerReferences",
            owner::released(object.meta(), &[owner::uid(owner)]),
        );
        crate::error::absent_is_fine(objects.patch(&Key::of(object.meta()), Write::Merge, &patch).await)?;
    }
    Ok(())
}

/// All active Pods of the sets with the same controller: Pods on crowded nodes go first.
fn related(cluster: &Cluster, set: &ReplicaSet, owned: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let Some(controller) = controller_of(&set.metadata) else { return owned.to_vec() };
    let namespace = owner::namespace(&set.metadata);
    let siblings: Vec<String> = cluster
        .replica_sets
        .in_namespace(namespace)
        .iter()
        .filter(|sibling| owner::is_controlled_by(&sibling.metadata, &controller.uid))
        .map(|sibling| owner::uid(&sibling.metadata).to_owned())
        .collect();
    let pods = cluster.pods.in_namespace(namespace);
    pods.into_iter()
        .filter(|pod| controller_of(&pod.metadata).is_some_and(|owner| siblings.contains(&owner.uid)))
        .collect()
}

async fn carry_out(cluster: &Cluster, set: &ReplicaSet, plan: &Plan) -> Result<(), Error> {
    if plan.create > 0 {
        return create_pods(cluster, set, plan.create).await;
    }
    let deletes = plan.delete.iter().map(|pod| async move {
        let key = Key::of(&pod.metadata);
        let uid = Some(owner::uid(&pod.metadata).to_owned());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        let result = cluster.pods.delete(&key, &parameters).await;
        cluster.record(
            COMPONENT,
            set,
            [match &result {
                Ok(()) => Note::normal("SuccessfulDelete", format!("Deleted pod: {}", key.name)),
                Err(error) => {
                    Note::warning("FailedDelete", format!("Error deleting: {}", error.api_message()))
                }
            }],
        );
        result
    });
    futures::future::join_all(deletes).await.into_iter().collect()
}

/// Creates Pods in batches that double, so that what fails for all fails early. They are made from the set as the API
/// has it: its typed view may lack fields that we do not know.
async fn create_pods(cluster: &Cluster, set: &ReplicaSet, count: usize) -> Result<(), Error> {
    let key = Key::of(&set.metadata);
    let whole = cluster.replica_sets.fetch(&key).await?;
    if whole["metadata"]["uid"].as_str() != set.metadata.uid.as_deref() {
        return Ok(());
    }
    let pod = pod_of(set, &whole["spec"]["template"]);
    let (mut left, mut batch) = (count, 1);
    while left > 0 {
        let creates = (0..batch.min(left)).map(|_| create_pod(cluster, set, &key.namespace, pod.clone()));
        let results = futures::future::join_all(creates).await;
        left -= results.len();
        batch *= 2;
        for result in results {
            match result {
                Err(error) if error.is_namespace_terminating() => return Ok(()),
                other => other?,
            }
        }
    }
    Ok(())
}

async fn create_pod(cluster: &Cluster, set: &ReplicaSet, namespace: &str, pod: Value) -> Result<(), Error> {
    let result = cluster.pods.create(namespace, pod).await;
    match &result {
        Ok(pod) => {
            let text = format!("Created pod: {}", owner::name(&pod.metadata));
            cluster.record(COMPONENT, set, [Note::normal("SuccessfulCreate", text)]);
        }
        Err(error) if error.is_namespace_terminating() => {}
        Err(error) => {
            let text = format!("Error creating: {}", error.api_message());
            cluster.record(COMPONENT, set, [Note::warning("FailedCreate", text)]);
        }
    }
    result.map(|_| ())
}

/// The Pod that a template makes.
fn pod_of(set: &ReplicaSet, template: &Value) -> Value {
    let mut metadata = json!({
        "generateName": format!("{}-", owner::name(&set.metadata)),
        "ownerReferences": [owner::controller_reference(set)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            metadata[field] = template["metadata"][field].clone();
        }
    }
    json!({"metadata": metadata, "spec": template["spec"]})
}
