//! Deployments and ReplicaSets.

use crate::fixture::{Lab, until};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Event, Pod};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;

fn condition(deployment: &Deployment, kind: &str) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == kind).and_then(|c| c.reason.clone())
}

fn done(deployment: &Deployment, replicas: i32) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation == deployment.metadata.generation
        && status.available_replicas.unwrap_or(0) == replicas
        && status.updated_replicas.unwrap_or(0) == replicas
        && status.replicas.unwrap_or(0) == replicas
        && condition(deployment, "Progressing").as_deref() == Some("NewReplicaSetAvailable")
}

fn active(pods: &[Pod]) -> usize {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count()
}

#[tokio::test]
async fn a_deployment_is_made_scaled_updated_undone_and_deleted() {
    let lab = Lab::new(2).await;
    let (deployments, sets, pods) = (lab.api::<Deployment>(), lab.api::<ReplicaSet>(), lab.api::<Pod>());
    lab.deploy(10).await;
    until(&deployments, "10 replicas", |all| all.iter().any(|d| done(d, 10))).await;
    let all = until(&pods, "10 Pods", |all| active(all) == 10).await;
    let on_first =
        all.iter().filter(|p| p.spec.as_ref().unwrap().node_name.as_deref() == Some("node-1")).count();
    assert_eq!(on_first, 5, "they are spread");
    // Every Pod that was ever made is there: none too many.
    let made = until(&lab.api::<Event>(), "events", |all| count(all, "SuccessfulCreate") >= 10).await;
    assert_eq!(count(&made, "SuccessfulCreate"), 10);
    until(&lab.api::<Event>(), "Scheduled", |all| count(all, "Scheduled") >= 10).await;

    let scale = json!({"spec": {"replicas": 3}});
    deployments.patch("web", &PatchParams::default(), &Patch::Merge(scale)).await.unwrap();
    until(&deployments, "3 replicas", |all| all.iter().any(|d| done(d, 3))).await;
    until(&pods, "3 Pods", |all| all.len() == 3).await;

    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "localhost/hello:4.2"}]}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(image)).await.unwrap();
    until(&deployments, "the update", |all| {
        all.iter().any(|d| d.metadata.generation > Some(2) && done(d, 3))
    })
    .await;
    let image = |pod: &Pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
    until(&pods, "new Pods only", |all| all.len() == 3 && all.iter().all(|p| image(p).ends_with("4.2")))
        .await;
    let both = until(&sets, "two sets", |all| all.len() == 2).await;
    let mut revisions: Vec<_> =
        both.iter().map(|s| s.annotations()["deployment.kubernetes.io/revision"].clone()).collect();
    revisions.sort();
    assert_eq!(revisions, ["1", "2"]);

    let undo = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "localhost/hello:4.1"}]}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(undo)).await.unwrap();
    until(&deployments, "the undo", |all| all.iter().any(|d| d.metadata.generation > Some(3) && done(d, 3)))
        .await;
    let revision = until(&deployments, "revision 3", |all| {
        all.iter().any(|d| d.annotations().get("deployment.kubernetes.io/revision").is_some_and(|r| r == "3"))
    });
    revision.await;
    assert_eq!(until(&sets, "still two", |all| all.len() == 2).await.len(), 2);

    deployments.delete("web", &DeleteParams::background()).await.unwrap();
    until(&sets, "no sets", <[_]>::is_empty).await;
    until(&pods, "no Pods", <[_]>::is_empty).await;
}

fn count(events: &[Event], reason: &str) -> usize {
    events.iter().filter(|event| event.reason.as_deref() == Some(reason)).count()
}

#[tokio::test]
async fn foreground_and_orphan() {
    let lab = Lab::new(1).await;
    let (deployments, sets, pods) = (lab.api::<Deployment>(), lab.api::<ReplicaSet>(), lab.api::<Pod>());
    lab.deploy(2).await;
    until(&deployments, "2 replicas", |all| all.iter().any(|d| done(d, 2))).await;
    let orphan =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    deployments.delete("web", &orphan).await.unwrap();
    until(&deployments, "no Deployment", <[_]>::is_empty).await;
    until(&sets, "an orphan", |all| all.len() == 1 && all[0].owner_references().is_empty()).await;
    // A new Deployment of the same kind adopts it.
    lab.deploy(2).await;
    until(&deployments, "adoption", |all| all.iter().any(|d| done(d, 2))).await;
    until(&sets, "adopted", |all| all.len() == 1 && all[0].owner_references().len() == 1).await;
    deployments.delete("web", &DeleteParams::foreground()).await.unwrap();
    until(&deployments, "no Deployment", <[_]>::is_empty).await;
    // In the foreground the dependents went first.
    assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
    assert!(sets.list(&Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_pod_that_is_relabelled_is_let_go_and_replaced() {
    let lab = Lab::new(1).await;
    let pods = lab.api::<Pod>();
    lab.deploy(2).await;
    let all = until(&pods, "2 Pods", |all| active(all) == 2).await;
    let name = all[0].name_any();
    let patch = json!({"metadata": {"labels": {"app": "mine"}}});
    pods.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until(&pods, "a replacement", |all| {
        all.len() == 3 && all.iter().any(|pod| pod.name_any() == name && pod.owner_references().is_empty())
    })
    .await;
}

#[tokio::test]
async fn ten_replicas_are_endpoints_soon() {
    let lab = Lab::new(1).await;
    lab.expose("NodePort").await;
    lab.quiet().await;
    let start = std::time::Instant::now();
    lab.deploy(10).await;
    until(&lab.api::<Endpoints>(), "10 addresses", |all| {
        let web = all.iter().filter(|e| e.name_any() == "web").flat_map(|e| e.subsets.iter().flatten());
        web.flat_map(|subset| subset.addresses.iter().flatten()).count() == 10
    })
    .await;
    let took = start.elapsed();
    println!("10 replicas are endpoints after {took:?}");
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}
