//! What a node of ours says of itself: `GET /api/v1/nodes/NODE/proxy/sealane/v1/explain`.

use super::list;
use serde::Deserialize;

/// A node's own word.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Word {
    /// Its running Pods.
    #[serde(deserialize_with = "list")]
    pub pods: Vec<PodWord>,
    /// Its Service proxy.
    pub proxy: Option<ProxyWord>,
}

/// A running Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodWord {
    /// The Pod.
    pub uid: String,
    /// The sockets on which it takes connections or datagrams.
    #[serde(deserialize_with = "list")]
    pub listeners: Vec<Listener>,
}

/// A socket that listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// `0.0.0.0`, `::`, or one address.
    pub address: String,
    /// The port.
    pub port: u32,
}

/// A node's Service proxy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyWord {
    /// For how many seconds it has known of a change that it has not programmed.
    pub behind_seconds: u64,
    /// Why its last try failed, if it did.
    pub error: Option<String>,
}

impl Listener {
    /// Whether only the Pod itself reaches it.
    pub fn is_loopback(&self) -> bool {
        self.address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}
