//! What the plan needs to know besides the Snapshot.

use std::net::Ipv4Addr;

/// Options of a plan; the same Snapshot and options give the same plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The node's own addresses, the first of which it answers pings from.
    pub node_addresses: Vec<Ipv4Addr>,
    /// Addresses on which NodePorts are served; empty is every local one.
    pub nodeport_addresses: Vec<Ipv4Addr>,
    /// Ranges of ClusterIPs; empty if unknown.
    pub service_cidrs: Vec<(Ipv4Addr, u8)>,
    /// The source of NodePort connections to 127.0.0.1; `None` does not serve them.
    pub loopback_source: Option<Ipv4Addr>,
    /// The size of the affinity map.
    pub affinity_capacity: u32,
    /// Up to this many endpoints have a chain of exactly their number; more share one for the next power of two.
    pub exact_widths: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_addresses: Vec::new(),
            nodeport_addresses: Vec::new(),
            service_cidrs: Vec::new(),
            loopback_source: None,
            affinity_capacity: 131_072,
            exact_widths: 64,
        }
    }
}
