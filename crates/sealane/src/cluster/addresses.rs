//! Which part of a cluster has which address.

use super::Cluster;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port at which nodes and Pods reach the API, on the wire's own address.
const API_PORT: u16 = 6443;

/// The fixed addresses of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// The wire's own address, `.0.1` of the node range.
    pub(crate) wire: Ipv4Addr,
    /// The API as nodes and Pods reach it; the endpoint of Service `kubernetes`.
    pub(crate) api: SocketAddr,
    /// The API as the host reaches it.
    pub(crate) host_api: SocketAddr,
    /// Service `kubernetes`: the first address of the Service range.
    pub(crate) kubernetes: Ipv4Addr,
    /// Service `kube-dns`: the tenth.
    pub(crate) dns: Ipv4Addr,
}

impl Addresses {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let wire = cluster.node_cidr.nth(1).expect("a range holds at least 4 addresses");
        let service =
            |n| cluster.service_cidr.nth(n).expect("the Service range was checked to hold 16 addresses");
        Self {
            wire,
            api: (wire, API_PORT).into(),
            host_api: (IpAddr::V4(Ipv4Addr::LOCALHOST), cluster.api_port).into(),
            kubernetes: service(1),
            dns: service(10),
        }
    }
}

impl Cluster {
    /// The address of `node-N`: the wire has the first address of the node range, `node-1` the second.
    pub(crate) fn node_address(&self, node: &str) -> Option<Ipv4Addr> {
        let number: u32 = node.strip_prefix("node-")?.parse().ok()?;
        self.node_cidr.nth(number + 1)
    }
}
