//! Objects as they come from an API server, and the views of them.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use sealane_edge::{Finding, project_node, project_service, project_slice};
use sealane_model::{
    LoadBalancerIngress, Protocol, ServiceKind, ServiceView, SessionAffinity, TargetPort, TrafficPolicy,
};
use serde_json::{Value, json};
use std::net::IpAddr;

fn service(spec: Value) -> (ServiceView, Vec<Finding>) {
    service_with(json!({"metadata": {"namespace": "prod", "name": "web"}, "spec": spec}))
}

fn service_with(object: Value) -> (ServiceView, Vec<Finding>) {
    let projected = project_service(&serde_json::from_value(object).unwrap()).unwrap();
    (projected.value, projected.findings)
}

fn fields(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.field.as_str()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_cluster_ip_service() {
    let (view, findings) = service(json!({
        "type": "ClusterIP", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"],
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "targetPort": "dns-port", "protocol": "UDP"},
            {"name": "same", "port": 81},
        ],
        "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
    }));
    assert_eq!(findings, []);
    assert_eq!((&*view.name.namespace, &*view.name.name), ("prod", "web"));
    assert_eq!(view.kind, ServiceKind::ClusterIp);
    assert_eq!(view.cluster_ips, [ip("10.96.0.10"), ip("fd00::10")]);
    assert!(!view.headless && view.endpoints.is_empty() && view.affinity.is_none());
    let targets: Vec<_> = view.ports.iter().map(|p| (p.protocol, p.port, p.target_port.clone())).collect();
    assert_eq!(
        targets,
        [
            (Protocol::Tcp, 80, TargetPort::Number(8080)),
            (Protocol::Udp, 53, TargetPort::Name("dns-port".into())),
            (Protocol::Tcp, 81, TargetPort::Number(81)),
        ]
    );
}

#[test]
fn kinds_without_addresses() {
    let (view, findings) =
        service(json!({"clusterIP": "None", "clusterIPs": ["None"], "publishNotReadyAddresses": true}));
    assert!(view.headless && view.cluster_ips.is_empty() && view.publish_not_ready && findings.is_empty());
    let (view, findings) = service(json!({"type": "ExternalName", "externalName": "www.example.com"}));
    assert_eq!(
        (view.kind, view.external_name.as_deref()),
        (ServiceKind::ExternalName, Some("www.example.com"))
    );
    assert!(!view.headless && findings.is_empty());
    let (view, _) = service(json!({"clusterIP": "10.96.0.1", "externalName": "stale.example.com"}));
    assert_eq!(
        (view.external_name, view.cluster_ips),
        (None, vec![ip("10.96.0.1")]),
        "clusterIP alone, as of old"
    );
}

#[test]
fn a_load_balancer_service() {
    let (view, findings) = service_with(json!({
        "metadata": {"namespace": "prod", "name": "lb", "labels": {"service.kubernetes.io/service-proxy-name": "other"}},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.9", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31_000,
            "internalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.0.0.0/8", " fd00::/8 "],
            "externalIPs": ["203.0.113.1"], "trafficDistribution": "PreferSameNode",
            "ports": [{"port": 80, "nodePort": 30_080}],
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        },
        "status": {"loadBalancer": {"ingress": [
            {"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}]}},
    }));
    assert_eq!(findings, []);
    assert_eq!((view.kind, view.external_policy), (ServiceKind::LoadBalancer, TrafficPolicy::Local));
    assert_eq!(view.internal_policy, TrafficPolicy::Local);
    assert_eq!((view.health_check_node_port, view.ports[0].node_port), (Some(31_000), Some(30_080)));
    assert_eq!(view.source_ranges, [(ip("10.0.0.0"), 8), (ip("fd00::"), 8)]);
    assert_eq!(view.external_ips, [ip("203.0.113.1")]);
    let vip = |ip, vip| LoadBalancerIngress { ip, vip };
    assert_eq!(view.load_balancer, [vip(ip("192.0.2.1"), true), vip(ip("192.0.2.2"), false)]);
    assert_eq!(view.affinity, Some(SessionAffinity { timeout_s: 60 }));
    assert_eq!(
        (view.traffic_distribution.as_deref(), view.proxy_name.as_deref()),
        (Some("PreferSameNode"), Some("other"))
    );
}

#[test]
fn labels_that_keep_proxies_away() {
    let labelled = |label: &str| {
        let meta = json!({"namespace": "prod", "name": "web", "labels": {label: ""}});
        let (view, _) = service_with(json!({"metadata": meta, "spec": {"clusterIP": "10.96.0.9"}}));
        (view.unproxied, view.proxy_name.is_some(), view.headless)
    };
    assert_eq!(labelled("service.kubernetes.io/headless"), (true, false, false), "whatever its value");
    assert_eq!(labelled("service.kubernetes.io/service-proxy-name"), (false, true, false));
    assert_eq!(labelled("app"), (false, false, false));
}

#[test]
fn bad_values_are_left_out_and_named() {
    let (view, findings) = service(json!({
        "type": "Clustr", "clusterIPs": ["10.96.0.300", "10.96.0.2"],
        "ports": [{"port": 0}, {"port": 80, "protocol": "TPC"}, {"port": 81, "nodePort": 70_000}, {"port": 82, "targetPort": -1}],
        "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}},
    }));
    assert_eq!(
        fields(&findings),
        [
            "spec.type",
            "spec.clusterIPs[0]",
            "spec.ports[0].port",
            "spec.ports[1].protocol",
            "spec.ports[2].nodePort",
            "spec.ports[3].targetPort",
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        ]
    );
    assert_eq!((view.kind, view.cluster_ips), (ServiceKind::ClusterIp, vec![ip("10.96.0.2")]));
    assert_eq!(view.ports.iter().map(|port| (port.port, port.node_port)).collect::<Vec<_>>(), [(81, None)]);
    assert_eq!(view.affinity, Some(SessionAffinity { timeout_s: 10_800 }));
}

#[test]
fn source_ranges_that_cannot_be_read_let_no_one_in() {
    let (view, findings) =
        service(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["everyone", "10.0.0.0/33"]}));
    assert_eq!((view.source_ranges, findings.len()), (vec![(ip("0.0.0.0"), 32)], 2));
    let annotations =
        json!({"service.beta.kubernetes.io/load-balancer-source-ranges": "10.1.0.0/16, 10.2.0.0/16"});
    let meta = json!({"namespace": "prod", "name": "lb", "annotations": annotations});
    let (view, _) = service_with(json!({"metadata": meta, "spec": {"type": "LoadBalancer"}}));
    assert_eq!(view.source_ranges, [(ip("10.1.0.0"), 16), (ip("10.2.0.0"), 16)]);
}

#[test]
fn objects_without_names_are_not_views() {
    assert!(project_service(&serde_json::from_value(json!({"metadata": {}})).unwrap()).is_none());
    assert!(project_node(&serde_json::from_value(json!({"metadata": {}})).unwrap()).is_none());
    let slice =
        json!({"metadata": {"namespace": "prod", "name": "x"}, "addressType": "IPv4", "endpoints": []});
    assert!(project_slice(&serde_json::from_value(slice).unwrap()).is_none(), "a slice without a Service");
}

#[test]
fn an_endpoint_slice() {
    let slice = json!({
        "metadata": {"namespace": "prod", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"name": "any"},
                  {"name": "bad", "port": 0}],
        "endpoints": [
            {"addresses": ["10.1.0.5"], "conditions": {"ready": true, "serving": true, "terminating": false},
             "nodeName": "node-1", "zone": "a", "hostname": "web-0", "targetRef": {"kind": "Pod", "name": "web-x"},
             "hints": {"forZones": [{"name": "a"}, {"name": "b"}]}},
            {"addresses": ["10.1.0.6"], "targetRef": {"kind": "VM", "name": "x"}},
            {"addresses": ["10.1.0.7"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            {"addresses": ["10.1.0.8"], "conditions": {"ready": false}},
            {"addresses": []}, {"addresses": ["fd00::1"]}, {"addresses": ["web.example.com"]},
        ],
    });
    let projected = project_slice(&serde_json::from_value(slice).unwrap()).unwrap();
    let (view, findings) = (projected.value, projected.findings);
    assert_eq!((&*view.service.namespace, &*view.service.name), ("prod", "web"));
    let conditions: Vec<_> =
        view.endpoints.iter().map(|e| (e.ip, e.ready, e.serving, e.terminating)).collect();
    assert_eq!(
        conditions,
        [
            (ip("10.1.0.5"), true, true, false),
            (ip("10.1.0.6"), true, true, false),
            (ip("10.1.0.7"), false, true, true),
            (ip("10.1.0.8"), false, false, false),
        ]
    );
    let first = &view.endpoints[0];
    assert_eq!((first.node.as_deref(), first.zone.as_deref()), (Some("node-1"), Some("a")));
    assert_eq!((first.hostname.as_deref(), first.pod.as_deref()), (Some("web-0"), Some("web-x")));
    assert_eq!(first.zone_hints.iter().map(|zone| &**zone).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(view.endpoints[1].pod, None);
    let ports: Vec<_> =
        first.ports.iter().map(|(name, protocol, port)| (&**name, *protocol, *port)).collect();
    assert_eq!(
        ports,
        [("http", Protocol::Tcp, Some(8080)), ("", Protocol::Udp, Some(53)), ("any", Protocol::Tcp, None)]
    );
    let expected =
        ["ports[3]", "endpoints[4].addresses[0]", "endpoints[5].addresses[0]", "endpoints[6].addresses[0]"];
    assert_eq!(fields(&findings), expected);
}

#[test]
fn a_node() {
    let node = json!({
        "metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/zone": "a"}},
        "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd00:1::/64", "x"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.123.0.2"}, {"type": "Hostname", "address": "node-1"},
                          {"type": "InternalIP", "address": "fd00::2"}],
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    });
    let projected = project_node(&serde_json::from_value(node).unwrap()).unwrap();
    let node = projected.value;
    assert_eq!((&*node.name, node.zone.as_deref(), node.ready), ("node-1", Some("a"), true));
    assert_eq!(node.addresses, [ip("10.123.0.2"), ip("fd00::2")]);
    assert_eq!(node.pod_cidrs, [(ip("10.244.0.0"), 24), (ip("fd00:1::"), 64)]);
    assert_eq!(fields(&projected.findings), ["spec.podCIDRs[2]"]);
    let silent = json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    assert!(!project_node(&serde_json::from_value(silent).unwrap()).unwrap().value.ready);
}
