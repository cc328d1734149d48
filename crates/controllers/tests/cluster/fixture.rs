//! A cluster in memory: API server, controllers, and pretended nodes that make every Pod bound to them run.

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Resource, ResourceExt};
use sealane_apiserver::ApiServer;
use sealane_storage::MemoryStore;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);
const SYSTEM: &[&str] = &["system:masters"];

/// A cluster; it ends with the value.
pub(crate) struct Lab {
    pub(crate) client: Client,
    server: Arc<ApiServer>,
    config: sealane_controllers::Config,
    controllers: CancellationToken,
    agents: CancellationToken,
    _end: [DropGuard; 2],
}

impl Lab {
    /// A cluster with nodes `node-1` to `node-N`, with a grace for silent nodes.
    pub(crate) async fn with_grace(nodes: usize, grace: Duration) -> Self {
        let config = sealane_apiserver::Config {
            service_cidrs: vec![("10.96.0.0".parse().unwrap(), 16)],
            node_ports: 30000..=32767,
            advertise: "10.123.0.1:6443".parse().unwrap(),
            cluster_domain: "cluster.local".into(),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            token_key_pkcs8: Vec::new(),
            ca_pem: "the CA".into(),
            kubernetes_version: "v1.33.0".into(),
        };
        let server = ApiServer::new(config, Arc::new(MemoryStore::new()));
        server.bootstrap().await.unwrap();
        let mut config = sealane_controllers::Config::new(
            "10.123.0.1:6443".parse().unwrap(),
            "10.96.0.10".parse().unwrap(),
            ("10.244.0.0".parse().unwrap(), 16),
            "the CA".into(),
        );
        config.node_monitor_grace = grace;
        let (controllers, agents) = (CancellationToken::new(), CancellationToken::new());
        let ends = [controllers.clone().drop_guard(), agents.clone().drop_guard()];
        let client = server.client("admin", SYSTEM);
        let mut lab = Self { client, server, config, controllers, agents, _end: ends };
        lab.restart_controllers();
        // No Pod is admitted without its account.
        until(&lab.api::<ServiceAccount>(), "an account", |all| !all.is_empty()).await;
        for number in 1..=nodes {
            lab.add_node(&format!("node-{number}"), number).await;
        }
        lab
    }

    /// Ends the controllers, if they run, and starts them anew.
    pub(crate) fn restart_controllers(&mut self) {
        self.controllers.cancel();
        self.controllers = CancellationToken::new();
        self._end[0] = self.controllers.clone().drop_guard();
        let client = self.server.client("system:kube-controller-manager", SYSTEM);
        tokio::spawn(sealane_controllers::run(self.config.clone(), client, self.controllers.clone()));
    }

    /// Nodes go dark: nothing happens on them any more.
    pub(crate) fn darken_nodes(&self) {
        self.agents.cancel();
    }

    /// Waits until nothing is written for a while and returns the store's revision.
    pub(crate) async fn quiet(&self) -> String {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let revision = || async {
            namespaces.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap()
        };
        let settled = tokio::time::timeout(PATIENCE, async {
            loop {
                let before = revision().await;
                tokio::time::sleep(Duration::from_millis(400)).await;
                if revision().await == before {
                    return before;
                }
            }
        });
        settled.await.expect("the controllers never stop writing")
    }

    pub(crate) async fn new(nodes: usize) -> Self {
        Self::with_grace(nodes, Duration::from_secs(40)).await
    }

    /// Registers a node and pretends to be its agent.
    pub(crate) async fn add_node(&self, name: &str, number: usize) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        self.beat(name, number).await;
        let (client, shutdown, node) = (self.client.clone(), self.agents.clone(), name.to_owned());
        tokio::spawn(async move {
            tokio::select! { () = shutdown.cancelled() => {}, () = agent(client, node, number) => {} }
        });
    }

    /// Says that a node is Ready.
    pub(crate) async fn beat(&self, name: &str, number: usize) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let condition = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": format!("10.123.0.{}", number + 1)}],
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "conditions": [condition],
        }});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.unwrap();
    }

    /// All objects of a kind in namespace `default`.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates an object in namespace `default`.
    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + serde::Serialize,
    {
        let object = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    /// A Deployment `web` of Pods labelled `app=web`.
    pub(crate) async fn deploy(&self, replicas: i32) {
        let labels = json!({"app": "web"});
        let container = json!({"name": "c", "image": "localhost/hello:4.1", "ports": [{"containerPort": 8080, "name": "web"}]});
        self.create::<k8s_openapi::api::apps::v1::Deployment>(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
        }))
        .await;
    }

    /// A Service `web` that selects `app=web`.
    pub(crate) async fn expose(&self, kind: &str) {
        self.create::<k8s_openapi::api::core::v1::Service>(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"type": kind, "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]},
        }))
        .await;
    }
}

/// Waits until all objects of a kind together are as wanted; panics with what they are if they never become so.
pub(crate) async fn until<K>(api: &Api<K>, what: &str, wanted: impl Fn(&[K]) -> bool) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize,
{
    let mut present: BTreeMap<(String, String), K> = BTreeMap::new();
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    let found = tokio::time::timeout(PATIENCE, async {
        let list = api.list(&ListParams::default()).await.unwrap();
        let revision = list.metadata.resource_version.unwrap();
        present.extend(list.items.into_iter().map(|object| (key(&object), object)));
        let events = api.watch(&WatchParams::default(), &revision).await.unwrap();
        futures::pin_mut!(events);
        loop {
            let all: Vec<K> = present.values().cloned().collect();
            if wanted(&all) {
                return all;
            }
            match events.try_next().await.unwrap().expect("a watch outlives the test") {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    drop(present.insert(key(&object), object))
                }
                WatchEvent::Deleted(object) => drop(present.remove(&key(&object))),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => panic!("{status}"),
            }
        }
    });
    match found.await {
        Ok(all) => all,
        Err(_) => panic!(
            "{what}: never; there are {}",
            serde_json::to_string_pretty(&present.into_values().collect::<Vec<_>>()).unwrap()
        ),
    }
}

/// Makes Pods run and lets deleted ones go. A Pod with annotation `unready` runs without being ready.
async fn agent(client: Client, node: String, number: usize) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut last = 1;
    let events = pods.watch(&WatchParams::default(), "0").await.unwrap();
    futures::pin_mut!(events);
    while let Some(event) = events.try_next().await.unwrap() {
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
        if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(&node) {
            continue;
        }
        let mine: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = mine
                .delete(
                    &pod.name_any(),
                    &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() },
                )
                .await;
            continue;
        }
        let ready = if pod.annotations().contains_key("unready") { "False" } else { "True" };
        let status = pod.status.clone().unwrap_or_default();
        let current =
            status.conditions.iter().flatten().find(|c| c.type_ == "Ready").map(|c| c.status.clone());
        if status.pod_ip.is_some() && current.as_deref() == Some(ready) {
            continue;
        }
        let ip = status.pod_ip.unwrap_or_else(|| {
            last += 1;
            format!("10.244.{}.{last}", number - 1)
        });
        let time = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let patch = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": time}]}});
        let _ = mine.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await;
    }
}
