//! Which ports of the host lead where: pure.

use sealane_model::{Protocol, ServiceKind, ServicePort, ServiceView, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A transport protocol that is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// One port of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) transport: Transport,
    pub(super) port: u16,
    pub(super) namespace: String,
    pub(super) service: String,
    /// Where a connection goes: a NodePort of a Ready node that has an endpoint of the Service.
    pub(super) preferred: Vec<SocketAddr>,
    /// Of the other Ready nodes; used when none of those takes it.
    pub(super) others: Vec<SocketAddr>,
}

/// All ports to publish, one entry a port. Of two Services that want one number the first by name has it.
pub(super) fn plan(snapshot: &Snapshot) -> Vec<Published> {
    let mut ports: BTreeMap<(Transport, u16), Published> = BTreeMap::new();
    for view in snapshot.services.values() {
        for port in &view.ports {
            for published in of_port(snapshot, view, port) {
                ports.entry((published.transport, published.port)).or_insert(published);
            }
        }
    }
    ports.into_values().collect()
}

fn of_port(snapshot: &Snapshot, view: &ServiceView, port: &ServicePort) -> Vec<Published> {
    let transport = match port.protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Sctp => return Vec::new(),
    };
    let Some(node_port) = port.node_port else { return Vec::new() };
    let (preferred, others) = nodes(snapshot, view, node_port);
    let load_balancer = view.kind == ServiceKind::LoadBalancer && !view.load_balancer.is_empty();
    let numbers = [Some(node_port), load_balancer.then_some(port.port)];
    let published = |number| Published {
        transport,
        port: number,
        namespace: view.name.namespace.to_string(),
        service: view.name.name.to_string(),
        preferred: preferred.clone(),
        others: others.clone(),
    };
    numbers.into_iter().flatten().map(published).collect()
}

/// The Ready nodes' addresses, those with an endpoint that serves apart from the rest.
fn nodes(snapshot: &Snapshot, view: &ServiceView, port: u16) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let serving: BTreeSet<&str> =
        view.endpoints.iter().filter(|e| e.ready || e.serving).filter_map(|e| e.node.as_deref()).collect();
    let ready = snapshot.nodes.values().filter(|node| node.ready);
    let addressed = ready.filter_map(|node| Some((&*node.name, *node.addresses.first()?)));
    let (with, without): (Vec<_>, Vec<_>) = addressed.partition(|(name, _)| serving.contains(name));
    let at_port =
        |list: Vec<(&str, std::net::IpAddr)>| list.into_iter().map(|(_, ip)| (ip, port).into()).collect();
    (at_port(with), at_port(without))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealane_model::{Endpoint, LoadBalancerIngress, NodeView, TargetPort};
    use std::sync::Arc;

    fn node(name: &str, ip: &str, ready: bool) -> (Arc<str>, Arc<NodeView>) {
        let addresses = vec![ip.parse().unwrap()];
        let view = NodeView { name: name.into(), addresses, pod_cidrs: Vec::new(), zone: None, ready };
        (name.into(), Arc::new(view))
    }

    fn service(name: &str, kind: ServiceKind, protocol: Protocol, node_port: Option<u16>) -> ServiceView {
        ServiceView {
            kind,
            cluster_ips: vec!["10.96.0.9".parse().unwrap()],
            ports: vec![ServicePort {
                name: "".into(),
                protocol,
                port: 80,
                node_port,
                target_port: TargetPort::Number(8080),
            }],
            endpoints: vec![Endpoint {
                ports: [("".into(), protocol, Some(8080))].into(),
                node: Some("node-2".into()),
                ..Endpoint::new("10.244.1.5".parse().unwrap())
            }],
            ..ServiceView::new("default", name)
        }
    }

    fn snapshot(services: Vec<ServiceView>) -> Snapshot {
        let nodes = [
            node("node-1", "10.123.0.2", true),
            node("node-2", "10.123.0.3", true),
            node("node-3", "10.123.0.4", false),
        ];
        let services = services.into_iter().map(|s| (s.name.clone(), Arc::new(s))).collect();
        Snapshot { complete: true, services, nodes: nodes.into_iter().collect(), ..Snapshot::default() }
    }

    fn numbers(snapshot: &Snapshot) -> Vec<(Transport, u16)> {
        plan(snapshot).into_iter().map(|p| (p.transport, p.port)).collect()
    }

    #[test]
    fn a_node_port_leads_to_ready_nodes_and_first_to_one_with_an_endpoint() {
        let plan = plan(&snapshot(vec![service("a", ServiceKind::NodePort, Protocol::Tcp, Some(30001))]));
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].preferred, ["10.123.0.3:30001".parse().unwrap()]);
        assert_eq!(plan[0].others, ["10.123.0.2:30001".parse().unwrap()]);
    }

    #[test]
    fn a_load_balancer_is_published_at_its_own_port_too_once_it_has_an_address() {
        let mut view = service("a", ServiceKind::LoadBalancer, Protocol::Udp, Some(30001));
        assert_eq!(numbers(&snapshot(vec![view.clone()])), [(Transport::Udp, 30001)]);
        view.load_balancer = vec![LoadBalancerIngress { ip: "10.123.0.2".parse().unwrap(), vip: true }];
        assert_eq!(numbers(&snapshot(vec![view])), [(Transport::Udp, 80), (Transport::Udp, 30001)]);
    }

    #[test]
    fn what_has_no_node_port_is_not_published_and_one_number_is_published_once() {
        assert!(plan(&snapshot(vec![service("a", ServiceKind::ClusterIp, Protocol::Tcp, None)])).is_empty());
        let both = ["a", "b"].map(|n| {
            let mut view = service(
                n,
                ServiceKind::LoadBalancer,
                Protocol::Tcp,
                Some(if n == "a" { 30001 } else { 30002 }),
            );
            view.load_balancer = vec![LoadBalancerIngress { ip: "10.123.0.2".parse().unwrap(), vip: true }];
            view
        });
        let plan = plan(&snapshot(both.to_vec()));
        let on_80: Vec<_> = plan.iter().filter(|p| p.port == 80).collect();
        assert_eq!(on_80.len(), 1);
        assert_eq!(on_80[0].service, "a");
    }
}
