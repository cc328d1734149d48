//! What a node's agent must be told. Nothing is assumed: every path and address comes from here.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// The settings of one node.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cluster's name, as in `--name`.
    pub cluster: String,
    /// The node's name, `node-1`; it must be the one in the client certificate (`system:node:NAME`).
    pub node_name: String,
    /// The node's addresses, the first one its `InternalIP`.
    pub node_ips: Vec<IpAddr>,
    /// The ClusterIP of Service `kube-dns`.
    pub dns_address: IpAddr,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// For what must not survive the machine's restart: `/run/sealane/NAME/nodes/NODE`.
    pub run_dir: PathBuf,
    /// For what must: `/var/lib/sealane/NAME/nodes/NODE`.
    pub data_dir: PathBuf,
    /// The machine's image store.
    pub images_dir: PathBuf,
    /// Where the process that pulls images listens ([`crate::runtime::images::serve_pulls`]).
    pub pull_socket: PathBuf,
    /// Program and first arguments of a Pod's shim; the runtime adds its own.
    pub shim_command: Vec<OsString>,
    /// The cgroup of all Pods below each hierarchy's root: `sealane/NAME/NODE`.
    pub cgroup: String,
    /// Where the tunnel dials.
    pub api: SocketAddr,
    /// The name in the API server's certificate; the address itself if none.
    pub api_name: Option<String>,
    /// The tunnel's TLS configuration, with the node's client certificate.
    pub tls: Arc<rustls::ClientConfig>,
    /// Whether the cluster reaches beyond the machine (`--egress nat`); else Pods see no upstream name servers, and
    /// images come from the store or a registry of this machine.
    pub egress: bool,
    /// The node's own `resolv.conf`, for `dnsPolicy: Default`.
    pub host_resolv_conf: PathBuf,
    /// The product's version, for `containerRuntimeVersion` and `kubeletVersion`.
    pub version: String,
    /// The Kubernetes version that the agent behaves as, `v1.33.0`.
    pub kubernetes_version: String,
    /// Asked through the tunnel, beside the agent's own Pods.
    pub components: Components,
}

/// The other components of the node's process, which the agent does not know: what they say of themselves is handed on as
/// it is in answers to `GET /sealane/v1/explain`, an object each.
#[derive(Clone, Default)]
pub struct Components(Vec<(&'static str, Says)>);

type Says = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl Components {
    /// Adds a component, whose word is the member `name` of the answer. `says` is called for each request and must not block;
    /// `pods` is the agent's own member.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        says: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        self.0.push((name, Arc::new(says)));
        self
    }

    /// What all of them say now.
    pub(crate) fn say(&self) -> serde_json::Map<String, serde_json::Value> {
        self.0.iter().map(|(name, says)| ((*name).to_owned(), says())).collect()
    }
}

impl fmt::Debug for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Config {
    /// The URI host of the API server, for TLS and HTTP.
    pub(crate) fn api_host(&self) -> String {
        self.api_name.clone().unwrap_or_else(|| self.api.ip().to_string())
    }
}
