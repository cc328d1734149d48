//! Routes to the other nodes' Pod ranges. The set is declared; the difference is made here.

use std::net::{IpAddr, Ipv4Addr};

use sealane_netlink::{Netlink, Route};

use super::{Cidr, Error, io};

/// The protocol number that marks our routes, so that nobody else's are touched.
const PROTOCOL: u8 = 94;

/// A route to another node's Pod range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeRoute {
    /// The other node's `spec.podCIDR`.
    pub pods: Cidr,
    /// The other node's `InternalIP`.
    pub via: Ipv4Addr,
}

/// One step from the present routes to the wanted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteChange {
    /// Set, replacing a route to the same range.
    Set(NodeRoute),
    /// Remove the route.
    Remove(NodeRoute),
}

/// The steps from `present` to `wanted`. Removals come first.
#[must_use]
pub fn plan_routes(present: &[NodeRoute], wanted: &[NodeRoute]) -> Vec<RouteChange> {
    let gone = present.iter().filter(|p| !wanted.iter().any(|w| w.pods == p.pods));
    let new = wanted.iter().filter(|w| !present.contains(w));
    gone.map(|p| RouteChange::Remove(*p)).chain(new.map(|w| RouteChange::Set(*w))).collect()
}

pub(super) fn apply(wanted: &[NodeRoute]) -> Result<(), Error> {
    let mut node = Netlink::here().map_err(io("open netlink"))?;
    let routes = node.routes().map_err(io("list routes"))?;
    let present: Vec<NodeRoute> = routes
        .iter()
        .filter(|r| r.protocol == PROTOCOL)
        .filter_map(|r| match (r.destination, r.gateway?) {
            (IpAddr::V4(base), IpAddr::V4(via)) => {
                Some(NodeRoute { pods: Cidr { base, length: r.prefix }, via })
            }
            _ => None,
        })
        .collect();
    for change in plan_routes(&present, wanted) {
        // The gateway is named on removal too: without one, a route of another scope would be meant.
        let route = |r: NodeRoute| Route::new(r.pods.base, r.pods.length).via(r.via).by(PROTOCOL);
        match change {
            RouteChange::Set(r) => {
                node.set_route(&route(r)).map_err(io(format!("route {} via {}", r.pods, r.via)))?;
            }
            RouteChange::Remove(r) => {
                node.remove_route(&route(r)).map_err(io(format!("remove the route to {}", r.pods)))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pods: &str, via: [u8; 4]) -> NodeRoute {
        NodeRoute { pods: pods.parse().unwrap(), via: via.into() }
    }

    #[test]
    fn only_differences_are_planned() {
        let one = route("10.244.1.0/24", [10, 123, 0, 3]);
        let two = route("10.244.2.0/24", [10, 123, 0, 4]);
        let moved = route("10.244.2.0/24", [10, 123, 0, 9]);
        assert_eq!(plan_routes(&[], &[one]), [RouteChange::Set(one)]);
        assert_eq!(plan_routes(&[one, two], &[two, one]), []);
        assert_eq!(plan_routes(&[one, two], &[moved]), [RouteChange::Remove(one), RouteChange::Set(moved)]);
    }
}
