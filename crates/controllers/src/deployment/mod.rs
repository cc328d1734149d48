//! Deployment: rolls its template out through ReplicaSets.

mod bounds;
mod history;
mod member;
mod plan;
mod scale;
mod status;
#[cfg(test)]
mod tests;

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write};
use crate::owner::{self, controller_of};
use crate::queue::{Next, Queue};
use crate::recorder::Note;
use crate::replicaset::{adopt_and_release, claim};
use crate::{patch, pod, selector};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use member::{Member, REVISION, TEMPLATE_HASH, same_template, template_hash};
use plan::Plan;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const COMPONENT: &str = "deployment-controller";
/// Deployments that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("deployment"));
    let adder = queue.clone();
    cluster.deployments.on_change(move |change| adder.add(change.key.clone()));
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.replica_sets.on_change(move |change| {
        let Some(cluster) = weak.upgrade() else { return };
        for set in change.sides() {
            affected(&cluster, set).into_iter().for_each(|key| adder.add(key));
        }
    });
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.pods.on_change(move |change| {
        let Some(cluster) = weak.upgrade() else { return };
        // Only Recreate looks at Pods: it waits for the last old one.
        let gone = change.old.as_ref().filter(|_| change.new.is_none());
        if let Some(key) = gone.and_then(|pod| deployment_of(&cluster, pod)) {
            adder.add(key);
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

fn affected(cluster: &Cluster, set: &ReplicaSet) -> Vec<Key> {
    let namespace = owner::namespace(&set.metadata);
    match controller_of(&set.metadata) {
        Some(owner) if owner.kind == "Deployment" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let all = cluster.deployments.in_namespace(namespace);
            let selects = |deployment: &&Arc<Deployment>| {
                let spec = deployment.spec.as_ref();
                spec.is_some_and(|spec| selector::matches(&spec.selector, set.metadata.labels.as_ref()))
            };
            all.iter().filter(selects).map(|deployment| Key::of(&deployment.metadata)).collect()
        }
    }
}

fn deployment_of(cluster: &Cluster, pod: &Pod) -> Option<Key> {
    let namespace = owner::namespace(&pod.metadata);
    let set = controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
    let set = cluster.replica_sets.get(&Key::new(namespace, &set.name))?;
    let owner = controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
    Some(Key::new(namespace, &owner.name))
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(deployment) = cluster.deployments.get(&key) else { return Ok(Next::Wait) };
    let Some(spec) = &deployment.spec else { return Ok(Next::Wait) };
    if selector::is_empty(&spec.selector) {
        let text = "This deployment is selecting all pods. A non-empty selector is required.";
        cluster.record(COMPONENT, deployment.as_ref(), [Note::warning("SelectingAll", text)]);
        let patch = json!({"status": {"observedGeneration": deployment.metadata.generation}});
        cluster.deployments.patch(&key, Write::Status, &patch).await?;
        return Ok(Next::Wait);
    }
    let candidates = cluster.replica_sets.in_namespace(&key.namespace);
    let claims = claim(&deployment.metadata, &spec.selector, candidates, |_| true);
    let reference = owner::controller_reference(deployment.as_ref());
    adopt_and_release(&cluster.replica_sets, &claims, &deployment.metadata, &reference).await?;
    // What was just adopted is read again: it has a new owner.
    let adopted = claims.adopt.iter().filter_map(|set| cluster.replica_sets.get(&Key::of(&set.metadata)));
    let sets: Vec<Arc<ReplicaSet>> = claims.owned.iter().cloned().chain(adopted).collect();
    let now = whole_seconds(Timestamp::now());
    let others = |uid: Option<&str>| others_run(&cluster.pods.in_namespace(&key.namespace), &sets, uid);
    let plan = plan::plan(&deployment, spec, &sets, others, now);
    carry_out(cluster, &key, &deployment, plan).await
}

/// Times in a status are whole seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// True if Pods of sets other than that with `uid` are still running.
fn others_run(pods: &[Arc<Pod>], sets: &[Arc<ReplicaSet>], uid: Option<&str>) -> bool {
    pods.iter().filter(|pod| !pod::is_finished(pod)).any(|pod| {
        let owner = controller_of(&pod.metadata);
        let mine = owner.filter(|owner| sets.iter().any(|set| owner::uid(&set.metadata) == owner.uid));
        mine.is_some_and(|owner| Some(owner.uid.as_str()) != uid)
    })
}

async fn carry_out(cluster: &Cluster, key: &Key, deployment: &Deployment, plan: Plan) -> Result<Next, Error> {
    for member in &plan.members {
        if member.current.is_none() {
            if !create_set(cluster, key, deployment, member).await? {
                return Ok(Next::Wait);
            }
        } else if let Some(patch) = member.patch() {
            let set = Key::new(&key.namespace, &member.name);
            cluster.replica_sets.patch(&set, Write::Merge, &patch).await?;
        }
    }
    cluster.record(COMPONENT, deployment, plan.notes);
    for set in &plan.delete {
        let uid = set.metadata.uid.clone();
        let preconditions =
            Some(Preconditions { uid, resource_version: set.metadata.resource_version.clone() });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        cluster.replica_sets.delete(&Key::of(&set.metadata), &parameters).await?;
    }
    let annotations = deployment.metadata.annotations.as_ref();
    if let Some(revision) = plan.revision.filter(|r| annotations.and_then(|a| a.get(REVISION)) != Some(r)) {
        let patch =
            json!({"metadata": {"uid": deployment.metadata.uid, "annotations": {REVISION: revision}}});
        absent_is_fine(cluster.deployments.patch(key, Write::Merge, &patch).await)?;
    }
    if let Some(status) =
        patch::difference(&json!(deployment.status.clone().unwrap_or_default()), &json!(plan.status))
    {
        let patch = json!({"metadata": {"uid": deployment.metadata.uid}, "status": status});
        absent_is_fine(cluster.deployments.patch(key, Write::Status, &patch).await)?;
    }
    Ok(plan.next)
}

/// Creates the set of the present template. False if the Deployment has moved on meanwhile, or the namespace is going.
async fn create_set(
    cluster: &Cluster,
    key: &Key,
    deployment: &Deployment,
    member: &Member,
) -> Result<bool, Error> {
    let whole = match cluster.deployments.fetch(key).await {
        Err(error) if error.is_not_found() => return Ok(false),
        other => other?,
    };
    let same = whole["metadata"]["uid"].as_str() == deployment.metadata.uid.as_deref()
        && whole["metadata"]["generation"].as_i64() == deployment.metadata.generation;
    if !same {
        return Ok(false);
    }
    match cluster.replica_sets.create(&key.namespace, new_set(deployment, member, &whole["spec"])).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_namespace_terminating() => Ok(false),
        Err(error) if error.is_already_exists() => meet_namesake(cluster, key, deployment, member).await,
        Err(error) => {
            let text =
                format!("Failed to create new replica set \"{}\": {}", member.name, error.api_message());
            cluster.record(COMPONENT, deployment, [Note::warning("ReplicaSetCreateError", text)]);
            Err(error)
        }
    }
}

/// The ReplicaSet as it is created; `spec` is the Deployment's, with all its fields.
fn new_set(deployment: &Deployment, member: &Member, spec: &Value) -> Value {
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash =
        deployment.spec.as_ref().map(|spec| template_hash(&spec.template, collisions)).unwrap_or_default();
    let (mut template, mut selector) = (spec["template"].clone(), spec["selector"].clone());
    template["metadata"]["labels"][TEMPLATE_HASH] = json!(hash);
    selector["matchLabels"][TEMPLATE_HASH] = json!(hash);
    json!({
        "metadata": {
            "name": member.name,
            "labels": template["metadata"]["labels"],
            "annotations": member.annotations,
            "ownerReferences": [owner::controller_reference(deployment)],
        },
        "spec": {
            "replicas": member.replicas,
            "minReadySeconds": member.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    })
}

/// A set of that name exists: our own from an earlier try, or a collision of hashes, which is counted so that the
/// next try has another name.
async fn meet_namesake(
    cluster: &Cluster,
    key: &Key,
    deployment: &Deployment,
    member: &Member,
) -> Result<bool, Error> {
    let name = Key::new(&key.namespace, &member.name);
    let set: ReplicaSet = match cluster.replica_sets.fetch(&name).await {
        Err(error) if error.is_not_found() => return Ok(false),
        other => serde_json::from_value(other?).map_err(Error::json(format!("reading ReplicaSet {name}")))?,
    };
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let wanted = deployment.spec.as_ref().map(|spec| &spec.template);
    let same = template.zip(wanted).is_some_and(|(a, b)| same_template(a, b));
    if same && owner::is_controlled_by(&set.metadata, owner::uid(&deployment.metadata)) {
        return Ok(true);
    }
    let count = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0) + 1;
    let patch = json!({"metadata": {"uid": deployment.metadata.uid}, "status": {"collisionCount": count}});
    cluster.deployments.patch(key, Write::Status, &patch).await?;
    Ok(false)
}
