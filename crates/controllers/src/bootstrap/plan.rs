//! How the cluster's own objects look.

use crate::node::ready_addresses;
use crate::owner;
use k8s_openapi::api::core::v1::{Node, Service};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Namespace and name of the cluster's DNS.
pub(super) const KUBE_DNS: (&str, &str) = ("kube-system", "kube-dns");
/// Namespace and name of the API.
pub(super) const KUBERNETES: (&str, &str) = ("default", "kubernetes");
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";

/// One address behind a Service, with the node it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    ip: String,
    node: Option<(String, Option<String>)>,
}

/// A Service whose endpoints we write.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    backends: Vec<Backend>,
    ports: Vec<(&'static str, &'static str, u16)>,
    ipv6: bool,
}

/// Service `kube-dns`.
pub(super) fn dns_service(address: IpAddr) -> Value {
    let ports: Vec<Value> = DNS_PORTS
        .iter()
        .map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port, "targetPort": port}))
        .collect();
    json!({
        "metadata": {
            "name": KUBE_DNS.1,
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
        },
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports},
    })
}

const DNS_PORTS: [(&str, &str, u16); 3] =
    [("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("metrics", "TCP", 9153)];

/// What of a node matters to kube-dns.
pub(super) fn endpoint_of(node: &Node) -> (Vec<String>, Option<String>) {
    (ready_addresses(node), crate::slices::zone(node).map(str::to_owned))
}

/// `kube-dns`: every Ready node answers.
pub(super) fn kube_dns(nodes: &[Arc<Node>], address: IpAddr) -> Target {
    let ipv6 = address.is_ipv6();
    let backend = |node: &Arc<Node>| {
        let (addresses, zone) = endpoint_of(node);
        let ip = addresses.into_iter().find(|ip| ip.contains(':') == ipv6)?;
        Some(Backend { ip, node: Some((owner::name(&node.metadata).to_owned(), zone)) })
    };
    let backends = nodes.iter().filter_map(backend).collect();
    Target { namespace: KUBE_DNS.0, name: KUBE_DNS.1, backends, ports: DNS_PORTS.to_vec(), ipv6 }
}

/// `kubernetes`: the API where nodes reach it.
pub(super) fn kubernetes(advertise: SocketAddr) -> Target {
    let backends = vec![Backend { ip: advertise.ip().to_string(), node: None }];
    let ports = vec![("https", "TCP", advertise.port())];
    Target { namespace: KUBERNETES.0, name: KUBERNETES.1, backends, ports, ipv6: advertise.is_ipv6() }
}

impl Target {
    /// The EndpointSlice, named as the Service is (as the API server's own is in Kubernetes).
    pub(super) fn slice(&self, service: &Service) -> Value {
        let endpoints: Vec<Value> = self
            .backends
            .iter()
            .map(|backend| {
                let mut endpoint = json!({"addresses": [backend.ip], "conditions": {"ready": true}});
                if let Some((node, zone)) = &backend.node {
                    endpoint["conditions"] = json!({"ready": true, "serving": true, "terminating": false});
                    endpoint["nodeName"] = json!(node);
                    if let Some(zone) = zone {
                        endpoint["zone"] = json!(zone);
                    }
                }
                endpoint
            })
            .collect();
        json!({
            "metadata": {
                "name": self.name,
                "labels": {"kubernetes.io/service-name": self.name},
                "ownerReferences": [owner::controller_reference(service)],
            },
            "addressType": if self.ipv6 { "IPv6" } else { "IPv4" },
            "endpoints": endpoints,
            "ports": self.port_list(),
        })
    }

    /// The Endpoints, marked so that they are not mirrored into another slice.
    pub(super) fn endpoints(&self, service: &Service) -> Value {
        let mut labels = service.metadata.labels.clone().unwrap_or_default();
        labels.retain(|key, _| key != "component" && key != "provider");
        labels.insert(SKIP_MIRROR.to_owned(), "true".to_owned());
        let addresses: Vec<Value> = self
            .backends
            .iter()
            .map(|backend| match &backend.node {
                Some((node, _)) => json!({"ip": backend.ip, "nodeName": node}),
                None => json!({"ip": backend.ip}),
            })
            .collect();
        let subsets = if addresses.is_empty() {
            json!([])
        } else {
            json!([{"addresses": addresses, "ports": self.port_list()}])
        };
        json!({"metadata": {"name": self.name, "labels": labels}, "subsets": subsets})
    }

    fn port_list(&self) -> Value {
        let port = |(name, protocol, port): &(&str, &str, u16)| json!({"name": name, "port": port, "protocol": protocol});
        self.ports.iter().map(port).collect()
    }
}

/// The merge patch that brings the given fields of an object to what is wanted, if they are not.
pub(super) fn mend(current: &Value, wanted: &Value, fields: &[&str]) -> Option<Value> {
    let mut patch = json!({});
    for field in fields {
        let empty = json!([]);
        let present = if current[field].is_null() { &empty } else { &current[field] };
        if *present != wanted[field] {
            patch[*field] = wanted[field].clone();
        }
    }
    let labels = wanted["metadata"]["labels"].as_object().into_iter().flatten();
    for (key, value) in labels.filter(|(key, value)| current["metadata"]["labels"][key.as_str()] != **value) {
        patch["metadata"]["labels"][key] = value.clone();
    }
    (patch != json!({})).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Endpoints;
    use k8s_openapi::api::discovery::v1::EndpointSlice;

    fn node(name: &str, ip: &str, ready: &str) -> Arc<Node> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name}, "status": {
                "addresses": [{"type": "InternalIP", "address": ip}], "conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap(),
        )
    }

    #[test]
    fn dns_is_on_every_ready_node_and_stays_so() {
        let nodes = [node("node-1", "10.123.0.2", "True"), node("node-2", "10.123.0.3", "Unknown")];
        let target = kube_dns(&nodes, "10.96.0.10".parse().unwrap());
        let service: Service = serde_json::from_value(
            json!({"metadata": {"name": "kube-dns", "uid": "u", "labels": {"k8s-app": "kube-dns"}}}),
        )
        .unwrap();
        let slice = target.slice(&service);
        assert_eq!(
            slice["endpoints"],
            json!([{"addresses": ["10.123.0.2"], "nodeName": "node-1",
                    "conditions": {"ready": true, "serving": true, "terminating": false}}])
        );
        assert_eq!(slice["ports"][0], json!({"name": "dns", "port": 53, "protocol": "UDP"}));
        let endpoints = target.endpoints(&service);
        assert_eq!(endpoints["metadata"]["labels"], json!({"k8s-app": "kube-dns", SKIP_MIRROR: "true"}));
        assert_eq!(endpoints["subsets"][0]["addresses"], json!([{"ip": "10.123.0.2", "nodeName": "node-1"}]));
        // What was read back needs no mending; what was damaged does.
        let read: EndpointSlice = serde_json::from_value(slice.clone()).unwrap();
        assert_eq!(mend(&json!(read), &slice, &["endpoints", "ports"]), None);
        let read: Endpoints = serde_json::from_value(endpoints.clone()).unwrap();
        assert_eq!(mend(&json!(read), &endpoints, &["subsets"]), None);
        let gone = kube_dns(&[], "10.96.0.10".parse().unwrap()).endpoints(&service);
        assert_eq!(mend(&json!(read), &gone, &["subsets"]), Some(json!({"subsets": []})));
    }

    #[test]
    fn the_api_is_where_it_is_advertised() {
        let target = kubernetes("10.123.0.1:6443".parse().unwrap());
        let service: Service = serde_json::from_value(
            json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}}}),
        )
        .unwrap();
        let endpoints = target.endpoints(&service);
        assert_eq!(
            endpoints["subsets"],
            json!([{"addresses": [{"ip": "10.123.0.1"}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}])
        );
        assert_eq!(endpoints["metadata"]["labels"], json!({SKIP_MIRROR: "true"}));
    }
}
