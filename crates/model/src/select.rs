//! Endpoint selection: which endpoints may serve a port of a Service for a client at one place.
//!
//! The order of preference is Kubernetes' (KEP-1669, KEP-2086, KEP-2433): ready endpoints; where there is none, those
//! that are still serving while they terminate. Policy `Local` narrows the choice to this node before that.

use crate::{Endpoint, NodeView, ServicePort, ServiceView, TrafficPolicy};
use std::net::{IpAddr, SocketAddr};

/// Where the client is: inside the cluster (ClusterIP) or outside (NodePort, external and load-balancer addresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `internalTrafficPolicy` applies.
    Internal,
    /// `externalTrafficPolicy` applies.
    External,
}

/// An endpoint chosen for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selected {
    /// Its address and port.
    pub address: SocketAddr,
    /// True if it runs on the asking node.
    pub local: bool,
}

/// The endpoints that new connections to `port` may go to, sorted by address, without duplicates.
///
/// Each address family is decided on its own, as each has its own slices. Headless and ExternalName Services have
/// none, for nothing forwards packets to them.
#[must_use]
pub fn select(view: &ServiceView, port: &ServicePort, scope: Scope, node: &NodeView) -> Vec<Selected> {
    if view.headless || view.external_name.is_some() || view.cluster_ips.is_empty() {
        return Vec::new();
    }
    let policy = match scope {
        Scope::Internal => view.internal_policy,
        Scope::External => view.external_policy,
    };
    let mut selected = Vec::new();
    for family_is_v4 in [true, false] {
        let candidates: Vec<Candidate<'_>> = (view.endpoints.iter())
            .filter(|endpoint| endpoint.ip.is_ipv4() == family_is_v4)
            .filter_map(|endpoint| Candidate::new(endpoint, port, node))
            .filter(|candidate| policy == TrafficPolicy::Cluster || candidate.local)
            .collect();
        let usable = usable(&candidates, view.publish_not_ready);
        let near = if policy == TrafficPolicy::Cluster { hinted(usable, node) } else { usable };
        selected.extend(near.into_iter().map(Candidate::selected));
    }
    selected.sort_unstable();
    selected.dedup_by_key(|chosen| chosen.address);
    selected
}

#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    port: u16,
    local: bool,
}

impl<'a> Candidate<'a> {
    /// `None` if the endpoint does not have this port, or leaves its number open.
    fn new(endpoint: &'a Endpoint, port: &ServicePort, node: &NodeView) -> Option<Self> {
        let number = (endpoint.ports.iter())
            .find(|(name, protocol, _)| *name == port.name && *protocol == port.protocol)
            .and_then(|(_, _, number)| *number)?;
        let local = endpoint.node.as_ref() == Some(&node.name);
        Some(Self { endpoint, port: number, local })
    }

    fn selected(self) -> Selected {
        let ip: IpAddr = self.endpoint.ip;
        Selected { address: SocketAddr::new(ip, self.port), local: self.local }
    }
}

/// Ready ones; if there is none, those that serve while terminating.
fn usable<'a>(candidates: &[Candidate<'a>], publish_not_ready: bool) -> Vec<Candidate<'a>> {
    let ready: Vec<_> =
        candidates.iter().filter(|c| c.endpoint.ready || publish_not_ready).copied().collect();
    if !ready.is_empty() {
        return ready;
    }
    candidates.iter().filter(|c| c.endpoint.serving && c.endpoint.terminating).copied().collect()
}

/// Those hinted for the node's zone, if every endpoint carries a hint and one of them names that zone.
fn hinted<'a>(candidates: Vec<Candidate<'a>>, node: &NodeView) -> Vec<Candidate<'a>> {
    let Some(zone) = &node.zone else { return candidates };
    if candidates.iter().any(|c| c.endpoint.zone_hints.is_empty()) {
        return candidates;
    }
    let near: Vec<_> = candidates.iter().filter(|c| c.endpoint.zone_hints.contains(zone)).copied().collect();
    if near.is_empty() { candidates } else { near }
}
