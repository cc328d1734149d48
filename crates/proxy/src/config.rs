//! The proxy's options.

use crate::plan::Options;
use crate::proxy::Status;
use sealane_model::NodeView;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::sync::watch;

/// The source that NodePort connections to 127.0.0.1 are given on their way through conntrack (link-local, on `lo`).
pub const DEFAULT_LOOPBACK_SOURCE: Ipv4Addr = Ipv4Addr::new(169, 254, 30, 1);

/// Options of the proxy of one node.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name: endpoints on it are local.
    pub node_name: String,
    /// The node's addresses, until its Node object names its InternalIPs.
    pub node_addresses: Vec<IpAddr>,
    /// Addresses on which NodePorts are served; empty is every address of the node.
    pub nodeport_addresses: Vec<IpAddr>,
    /// The ranges of ClusterIPs, if known: they spare traffic that is not for a Service one look-up.
    pub service_cidrs: Vec<(IpAddr, u8)>,
    /// Serves NodePorts on 127.0.0.1 with this as their source within the node; `None` does not serve them.
    pub loopback_source: Option<Ipv4Addr>,
    /// Clients that session affinity remembers at most.
    pub affinity_capacity: u32,
    /// How often the kernel's state is looked at for changes by someone else.
    pub check_interval: Duration,
    /// Told of every synchronisation, and when one is due.
    pub status: Option<watch::Sender<Status>>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No node name.
    #[error("the proxy needs the name of its node")]
    NoNodeName,
    /// A prefix longer than its address.
    #[error("the Service range {0}/{1} has a prefix that is longer than its address")]
    BadPrefix(IpAddr, u8),
    /// A loopback source that is not link-local.
    #[error("the loopback source {0} is not in 169.254.0.0/16")]
    BadLoopbackSource(Ipv4Addr),
}

impl Config {
    /// The defaults for a node.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            node_addresses: Vec::new(),
            nodeport_addresses: Vec::new(),
            service_cidrs: Vec::new(),
            loopback_source: Some(DEFAULT_LOOPBACK_SOURCE),
            affinity_capacity: 131_072,
            check_interval: Duration::from_secs(1),
            status: None,
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first option that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.node_name.is_empty() {
            return Err(ConfigError::NoNodeName);
        }
        let longest = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        if let Some((ip, len)) = self.service_cidrs.iter().find(|(ip, len)| *len > longest(ip)) {
            return Err(ConfigError::BadPrefix(*ip, *len));
        }
        match self.loopback_source {
            Some(source) if !source.is_link_local() => Err(ConfigError::BadLoopbackSource(source)),
            _ => Ok(()),
        }
    }

    /// The node as known before its Node object is.
    pub(crate) fn provisional_node(&self) -> NodeView {
        NodeView {
            name: self.node_name.as_str().into(),
            addresses: self.node_addresses.clone(),
            pod_cidrs: Vec::new(),
            zone: None,
            ready: false,
        }
    }

    /// What the plan needs to know of them, on this node.
    pub(crate) fn options(&self, node: &NodeView) -> Options {
        let v4 = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => Some(*ip),
            IpAddr::V6(_) => None,
        };
        Options {
            node_addresses: node.addresses.iter().filter_map(v4).collect(),
            nodeport_addresses: self.nodeport_addresses.iter().filter_map(v4).collect(),
            service_cidrs: self.service_cidrs.iter().filter_map(|(ip, len)| Some((v4(ip)?, *len))).collect(),
            loopback_source: self.loopback_source,
            affinity_capacity: self.affinity_capacity,
            ..Options::default()
        }
    }
}
