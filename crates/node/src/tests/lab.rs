//! One node in a cluster that consists of its API server alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, watcher};
use sealane_apiserver::ApiServer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::fake::Fake;
use crate::agent::context::Context;
use crate::agent::events::Recorder;
use crate::agent::{Allocatable, ResolvConf, Tokens};
use crate::config::{Components, Config};
use crate::runtime::images::{ImageStore, Pulls};
use crate::tunnel::Directory;

pub(super) struct Lab {
    pub(super) client: kube::Client,
    pub(super) runtime: Fake,
    pub(super) dir: PathBuf,
    server: Arc<ApiServer>,
    node: Option<(CancellationToken, tokio::task::JoinHandle<Result<(), crate::Error>>)>,
}

impl Lab {
    /// A cluster with one node that is Ready.
    pub(super) async fn new(dir: &Path) -> Self {
        let config = sealane_apiserver::Config {
            service_cidrs: vec![("10.96.0.0".parse().unwrap(), 16)],
            node_ports: 30000..=32767,
            advertise: "10.123.0.1:6443".parse().unwrap(),
            cluster_domain: "cluster.local".into(),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            token_key_pkcs8: token_key(),
            ca_pem: "the CA".into(),
            kubernetes_version: "v1.33.0".into(),
        };
        let server = ApiServer::new(config, Arc::new(sealane_storage::MemoryStore::new()));
        server.bootstrap().await.unwrap();
        let client = server.client("admin", &["system:masters"]);
        load_image(&dir.join("images"));
        let mut lab = Self { client, runtime: Fake::new(), dir: dir.to_owned(), server, node: None };
        lab.create(
            "v1/namespaces/default/serviceaccounts",
            json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default"}}),
        )
        .await;
        lab.create(
            "v1/namespaces/default/configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "the CA"}}),
        )
        .await;
        lab.start().await;
        lab.give_range().await;
        lab
    }

    /// Starts the node's agent (again).
    pub(super) async fn start(&mut self) {
        let client = self.server.client("system:node:node-1", &["system:nodes"]);
        let stop = CancellationToken::new();
        let run = crate::run_with(config(&self.dir), client, Arc::new(self.runtime.clone()), stop.clone());
        self.node = Some((stop, tokio::spawn(run)));
    }

    /// Ends the agent as a process' end does.
    pub(super) async fn stop(&mut self) {
        let (stop, task) = self.node.take().expect("a running node");
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    async fn give_range(&self) {
        self.until::<Node>("node-1", None, |n| n.is_some()).await;
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch =
            Patch::Merge(json!({"spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}}));
        nodes.patch("node-1", &PatchParams::default(), &patch).await.unwrap();
        let ready = |node: &Value| node["status"]["conditions"][3]["status"] == "True";
        self.until::<Node>("node-1", None, |n| n.is_some_and(ready)).await;
    }

    /// Creates an object at a path of the API.
    pub(super) async fn create(&self, path: &str, object: Value) {
        let group = if path.starts_with("v1") { "api" } else { "apis" };
        let request = http::Request::post(format!("/{group}/{path}"))
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        self.client.request::<Value>(request).await.unwrap();
    }

    /// Creates a Pod that is bound to the node already.
    pub(super) async fn pod(&self, name: &str, spec: Value) {
        let mut spec = spec;
        spec["nodeName"] = json!("node-1");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "default");
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    /// Waits until the Pod is as `wanted`, and returns it.
    pub(super) async fn until_pod(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until::<Pod>(name, Some("default"), |p| p.is_some_and(&wanted)).await.expect("the Pod")
    }

    /// Waits until the Pod is gone.
    pub(super) async fn until_gone(&self, name: &str) {
        self.until::<Pod>(name, Some("default"), |p| p.is_none()).await;
    }

    async fn until<K>(
        &self,
        name: &str,
        namespace: Option<&str>,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let resource = kube::api::ApiResource::erase::<K>(&());
        let api: Api<kube::api::DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(watcher(api, config));
        let mut last = None;
        let search = async {
            let mut complete = false;
            while let Some(event) = events.next().await {
                match event.expect("the watch works") {
                    watcher::Event::Init => last = None,
                    watcher::Event::InitDone => complete = true,
                    watcher::Event::InitApply(o) | watcher::Event::Apply(o) => {
                        last = Some(serde_json::to_value(o).unwrap());
                    }
                    watcher::Event::Delete(_) => last = None,
                }
                if complete && wanted(last.as_ref()) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), search).await.is_ok();
        let shown = serde_json::to_string_pretty(&last).unwrap();
        assert!(found, "{name} is not as wanted: {shown}\n{:#?}", self.events(name).await);
        last
    }

    /// `Reason Message` of all events about `name`, in order, with counts above 1.
    pub(super) async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let mut all = api.list(&ListParams::default()).await.unwrap().items;
        all.retain(|e| e.involved_object.name.as_deref() == Some(name));
        all.sort_by_key(|e| e.metadata.name.clone());
        let one = |e: Event| format!("{} {}", e.reason.unwrap_or_default(), e.message.unwrap_or_default());
        all.into_iter().map(one).collect()
    }

    /// Waits until an event with this text is there.
    pub(super) async fn until_event(&self, name: &str, text: &str) {
        for _ in 0..1000 {
            if self.events(name).await.iter().any(|e| e.contains(text)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no event {text:?}: {:#?}", self.events(name).await);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some((stop, _)) = self.node.take() {
            stop.cancel();
        }
    }
}

/// The agent's context without an agent, for what works on what is there. Must run in namespaces of its own.
pub(super) async fn context(dir: &Path, runtime: Fake) -> Arc<Context> {
    let nowhere = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no API here"))
    });
    let client = kube::Client::new(nowhere, "default");
    Arc::new(Context {
        config: config(dir),
        recorder: Recorder::start(client.clone(), "node-1"),
        client,
        runtime: Arc::new(runtime),
        images: ImageStore::open(dir.join("images")).unwrap(),
        pulls: Pulls::new(dir.join("pull.sock")),
        network: crate::podnet::PodNet::open(dir, "10.244.0.0/24".parse().unwrap()).await.unwrap(),
        services: kube::runtime::reflector::store().0,
        tokens: Tokens::default(),
        directory: Directory::default(),
        allocatable: Allocatable::default(),
        host_resolv: ResolvConf::default(),
    })
}

fn config(dir: &Path) -> Config {
    Config {
        cluster: "test".into(),
        node_name: "node-1".into(),
        node_ips: vec!["10.123.0.2".parse().unwrap()],
        dns_address: "10.96.0.10".parse().unwrap(),
        cluster_domain: "cluster.local".into(),
        run_dir: dir.join("run"),
        data_dir: dir.join("data"),
        images_dir: dir.join("images"),
        pull_socket: dir.join("pull.sock"),
        shim_command: vec![],
        cgroup: "sealane/test/node-1".into(),
        // Nothing listens there: these tests talk to the API without a socket.
        api: "127.0.0.1:9".parse().unwrap(),
        api_name: None,
        tls: tls(),
        egress: false,
        host_resolv_conf: "/dev/null".into(),
        version: "0.1.0".into(),
        kubernetes_version: "v1.33.0".into(),
        components: Components::default().with("proxy", || json!({"behindSeconds": 7})),
    }
}

fn tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// An ES256 key: tokens are signed for real.
fn token_key() -> Vec<u8> {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der()
}

/// Loads `localhost/hello:latest`, an image of one empty layer.
fn load_image(store: &Path) {
    let layer = vec![0_u8; 1024];
    let digest: String = Sha256::digest(&layer).iter().map(|b| format!("{b:02x}")).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]}});
    let manifest =
        json!([{"Config": "config.json", "RepoTags": ["localhost/hello:latest"], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    let (config, manifest) = (config.to_string().into_bytes(), manifest.to_string().into_bytes());
    for (name, bytes) in [("layer.tar", &layer), ("config.json", &config), ("manifest.json", &manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    ImageStore::open(store).unwrap().load(archive.as_slice()).unwrap();
}
