//! Namespaces, nodes and what cannot be scheduled.

use crate::fixture::{Lab, until};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Node, Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_namespace_comes_with_its_defaults_and_goes_with_everything() {
    let lab = Lab::new(1).await;
    let namespaces: Api<Namespace> = Api::all(lab.client.clone());
    let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(team).unwrap()).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(lab.client.clone(), "team");
    until(&accounts, "the default account", |all| all.iter().any(|a| a.name_any() == "default")).await;
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "team");
    let map = until(&maps, "the CA", |all| all.len() == 1).await;
    assert_eq!(map[0].data.as_ref().unwrap()["ca.crt"], "the CA");
    // Both come back when they are deleted.
    maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    let uid = map[0].uid();
    until(&maps, "the CA again", |all| all.len() == 1 && all[0].uid() != uid).await;

    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "team");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    until(&pods, "a running Pod", |all| {
        all.iter().any(|p| p.status.as_ref().is_some_and(|s| s.pod_ip.is_some()))
    })
    .await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    until(&namespaces, "its end", |all| all.iter().all(|n| n.name_any() != "team")).await;
    assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
    assert!(accounts.list(&Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_silent_node_is_unknown_and_its_pods_leave_their_services() {
    let lab = Lab::with_grace(1, Duration::from_millis(700)).await;
    let nodes: Api<Node> = Api::all(lab.client.clone());
    lab.expose("ClusterIP").await;
    lab.deploy(2).await;
    let ready = |all: &[Endpoints]| {
        let subsets =
            all.iter().find(|e| e.name_any() == "web").and_then(|e| e.subsets.clone()).unwrap_or_default();
        subsets.iter().map(|subset| subset.addresses.as_ref().map_or(0, Vec::len)).sum::<usize>()
    };
    until(&lab.api::<Endpoints>(), "2 addresses", |all| ready(all) == 2).await;
    lab.darken_nodes();
    let said = |node: &Node| {
        let conditions =
            node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        conditions.into_iter().find(|c| c.type_ == "Ready").map(|c| c.status)
    };
    let tainted = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
    until(&nodes, "silence", |all| {
        all.iter().any(|n| said(n).as_deref() == Some("Unknown") && tainted(n) == 2)
    })
    .await;
    until(&lab.api::<Endpoints>(), "no address", |all| ready(all) == 0).await;
    lab.beat("node-1", 1).await;
    until(&nodes, "recovery", |all| {
        all.iter().any(|n| said(n).as_deref() == Some("True") && tainted(n) == 0)
    })
    .await;
}

#[tokio::test]
async fn a_settled_cluster_is_left_alone_also_by_new_controllers() {
    let mut lab = Lab::new(2).await;
    lab.expose("LoadBalancer").await;
    lab.deploy(5).await;
    until(&lab.api::<Endpoints>(), "5 addresses", |all| {
        all.iter().any(|e| e.subsets.iter().flatten().flat_map(|s| s.addresses.iter().flatten()).count() == 5)
    })
    .await;
    let before = lab.quiet().await;
    lab.restart_controllers();
    assert_eq!(lab.quiet().await, before, "a restart changes nothing");
    // And they are at work.
    lab.api::<Pod>().delete_collection(&DeleteParams::default(), &Default::default()).await.unwrap();
    until(&lab.api::<Pod>(), "new Pods", |all| {
        all.iter()
            .filter(|p| {
                p.metadata.deletion_timestamp.is_none() && p.spec.as_ref().unwrap().node_name.is_some()
            })
            .count()
            == 5
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_waits_for_a_node() {
    let lab = Lab::new(0).await;
    lab.create::<Pod>(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .await;
    let pods = lab.api::<Pod>();
    let why = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        conditions
            .into_iter()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False")
            .and_then(|c| c.message)
    };
    until(&pods, "a reason", |all| {
        all.iter().any(|p| why(p).as_deref() == Some("no nodes available to schedule pods"))
    })
    .await;
    let warned = |all: &[Event]| all.iter().any(|event| event.reason.as_deref() == Some("FailedScheduling"));
    until(&lab.api::<Event>(), "an event", warned).await;
    lab.add_node("node-1", 1).await;
    let all =
        until(&pods, "a place", |all| all.iter().any(|p| p.spec.as_ref().unwrap().node_name.is_some())).await;
    let conditions = all[0].status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    assert!(conditions.iter().any(|c| c.type_ == "PodScheduled" && c.status == "True"), "{conditions:?}");
}
