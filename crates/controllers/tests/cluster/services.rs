//! Endpoints, EndpointSlices, load-balancer addresses and the cluster's own Services.

use crate::fixture::{Lab, until};
use k8s_openapi::api::core::v1::{Endpoints, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

fn addresses(endpoints: &[Endpoints], name: &str) -> (usize, usize) {
    let found = endpoints.iter().find(|e| e.name_any() == name);
    let subsets = found.and_then(|e| e.subsets.clone()).unwrap_or_default();
    let count =
        |list: &dyn Fn(&k8s_openapi::api::core::v1::EndpointSubset) -> usize| subsets.iter().map(list).sum();
    (
        count(&|subset| subset.addresses.as_ref().map_or(0, Vec::len)),
        count(&|subset| subset.not_ready_addresses.as_ref().map_or(0, Vec::len)),
    )
}

fn ready(slices: &[EndpointSlice], service: &str) -> (usize, usize) {
    let of =
        slices.iter().filter(|s| s.labels().get("kubernetes.io/service-name").is_some_and(|n| n == service));
    let all: Vec<_> = of.flat_map(|slice| slice.endpoints.iter()).collect();
    let ready = all.iter().filter(|e| e.conditions.as_ref().is_some_and(|c| c.ready == Some(true))).count();
    (ready, all.len() - ready)
}

#[tokio::test]
async fn endpoints_follow_pods() {
    let lab = Lab::new(1).await;
    let (endpoints, slices, pods) = (lab.api::<Endpoints>(), lab.api::<EndpointSlice>(), lab.api::<Pod>());
    lab.expose("ClusterIP").await;
    until(&endpoints, "Endpoints of none", |all| all.iter().any(|e| e.name_any() == "web")).await;
    until(&slices, "an empty slice", |all| {
        all.iter().filter(|s| s.name_any().starts_with("web-")).count() == 1
    })
    .await;
    lab.deploy(10).await;
    until(&endpoints, "10 addresses", |all| addresses(all, "web") == (10, 0)).await;
    let all = until(&slices, "10 endpoints", |all| ready(all, "web") == (10, 0)).await;
    let slice = all.iter().find(|s| s.name_any().starts_with("web-")).unwrap();
    let port = &slice.ports.as_ref().unwrap()[0];
    assert_eq!(
        (port.name.as_deref(), port.port, port.protocol.as_deref()),
        (Some(""), Some(8080), Some("TCP"))
    );
    assert!(slice.annotations().contains_key("endpoints.kubernetes.io/last-change-trigger-time"));
    assert_eq!(all.iter().filter(|s| s.name_any().starts_with("web-")).count(), 1);

    let pod = pods.list(&Default::default()).await.unwrap().items[0].name_any();
    let unready = json!({"metadata": {"annotations": {"unready": "yes"}}});
    pods.patch(&pod, &PatchParams::default(), &Patch::Merge(unready)).await.unwrap();
    until(&endpoints, "one not ready", |all| addresses(all, "web") == (9, 1)).await;
    until(&slices, "one not ready", |all| ready(all, "web") == (9, 1)).await;

    lab.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    until(&endpoints, "no Endpoints", |all| all.iter().all(|e| e.name_any() != "web")).await;
    until(&slices, "no slices", |all| all.iter().all(|s| !s.name_any().starts_with("web-"))).await;
}

#[tokio::test]
async fn a_load_balancer_has_the_nodes_addresses() {
    let lab = Lab::new(2).await;
    lab.expose("LoadBalancer").await;
    let services = lab.api::<Service>();
    let ips = |service: &Service| -> Vec<String> {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten().filter_map(|i| i.ip.clone()).collect()
    };
    let web = |all: &[Service]| all.iter().find(|s| s.name_any() == "web").map(ips).unwrap_or_default();
    until(&services, "two addresses", |all| web(all) == ["10.123.0.2", "10.123.0.3"]).await;
    let plain = json!({"spec": {"type": "ClusterIP"}});
    services.patch("web", &PatchParams::default(), &Patch::Merge(plain)).await.unwrap();
    until(&services, "none", |all| web(all).is_empty()).await;
}

#[tokio::test]
async fn the_clusters_own_services() {
    let lab = Lab::new(2).await;
    let system: Api<Endpoints> = Api::namespaced(lab.client.clone(), "kube-system");
    until(&system, "DNS on both nodes", |all| addresses(all, "kube-dns") == (2, 0)).await;
    let slices: Api<EndpointSlice> = Api::all(lab.client.clone());
    until(&slices, "their slice", |all| {
        ready(all, "kube-dns") == (2, 0) && ready(all, "kubernetes") == (1, 0)
    })
    .await;
    let services: Api<Service> = Api::namespaced(lab.client.clone(), "kube-system");
    let dns = services.get("kube-dns").await.unwrap();
    assert_eq!(dns.spec.as_ref().unwrap().cluster_ip.as_deref(), Some("10.96.0.10"));
    let api = until(&lab.api::<Endpoints>(), "the API", |all| addresses(all, "kubernetes") == (1, 0)).await;
    let subset = &api[0].subsets.as_ref().unwrap()[0];
    assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.123.0.1");
    let nodes: Api<Node> = Api::all(lab.client.clone());
    until(&nodes, "ranges", |all| {
        let ranges: Vec<_> = all.iter().filter_map(|n| n.spec.as_ref()?.pod_cidr.clone()).collect();
        ranges == ["10.244.0.0/24", "10.244.1.0/24"]
    })
    .await;
}

#[tokio::test]
async fn hand_made_endpoints_are_mirrored() {
    let lab = Lab::new(0).await;
    lab.create::<Service>(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}}))
        .await;
    lab.create::<Endpoints>(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db"},
        "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}], "ports": [{"port": 5432}]}]}))
        .await;
    let slices = lab.api::<EndpointSlice>();
    until(&slices, "a mirror", |all| ready(all, "db") == (2, 0)).await;
    let endpoints = lab.api::<Endpoints>();
    endpoints.delete("db", &DeleteParams::default()).await.unwrap();
    until(&slices, "no mirror", |all| ready(all, "db") == (0, 0)).await;
}

#[tokio::test]
async fn a_service_cidr_in_use_waits() {
    let lab = Lab::new(1).await;
    let cidrs: Api<ServiceCIDR> = Api::all(lab.client.clone());
    let held = |c: &ServiceCIDR| c.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    let more = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.97.0.0/24"]}});
    cidrs.create(&PostParams::default(), &serde_json::from_value(more).unwrap()).await.unwrap();
    until(&cidrs, "a finalizer on each", |all| all.len() == 2 && all.iter().all(held)).await;
    let service = json!({"metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.97.0.9", "ports": [{"port": 80}]}});
    lab.create::<Service>(service).await;
    cidrs.delete("more", &DeleteParams::default()).await.unwrap();
    let terminating = |c: &ServiceCIDR| {
        let conditions = c.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.reason == "Terminating" && c.status == "False"))
    };
    until(&cidrs, "that it waits", |all| all.iter().any(terminating)).await;
    lab.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    until(&cidrs, "that it is gone", |all| all.len() == 1).await;
}
