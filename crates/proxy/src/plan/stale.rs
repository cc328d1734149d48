//! Flows that conntrack would keep sending where nobody serves any more. UDP has no end of its own, so they must go.

use super::{Front, FrontTarget, GroupKey};
use sealane_model::Protocol;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Conntrack entries to remove: those that fit all that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleFlow {
    /// The protocol.
    pub protocol: Protocol,
    /// The original destination address; `None` is any (a NodePort).
    pub original_ip: Option<Ipv4Addr>,
    /// The original destination port.
    pub original_port: u16,
    /// Where answers come from: the endpoint, or the front end itself if the flow was never translated.
    pub reply_ip: Option<Ipv4Addr>,
    /// Their port.
    pub reply_port: u16,
}

/// The flows of `front` that a change of its endpoints leaves behind: those of endpoints that went, and, when the first
/// endpoint comes, those that were let through untranslated before.
pub(super) fn stale_flows(
    front: Front,
    old: Option<&BTreeSet<SocketAddrV4>>,
    new: Option<&BTreeSet<SocketAddrV4>>,
) -> Vec<StaleFlow> {
    let (ip, protocol, port) = match front {
        Front::Address(ip, protocol, port) => (Some(ip), protocol, port),
        Front::NodePort(protocol, port) => (None, protocol, port),
    };
    if protocol != Protocol::Udp {
        return Vec::new();
    }
    let flow = |reply_ip: Option<Ipv4Addr>, reply_port| StaleFlow {
        protocol,
        original_ip: ip,
        original_port: port,
        reply_ip,
        reply_port,
    };
    let none = BTreeSet::new();
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let mut flows: Vec<_> = old.difference(new).map(|gone| flow(Some(*gone.ip()), gone.port())).collect();
    if old.is_empty() && !new.is_empty() {
        flows.push(flow(ip, port));
    }
    flows
}

/// The group a front end leads to.
pub(super) fn group_of(target: FrontTarget) -> Option<GroupKey> {
    match target {
        FrontTarget::Group(key) => Some(key),
        FrontTarget::Drop => None,
    }
}
