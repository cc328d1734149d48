//! Endpoint selection, by table: endpoints in, addresses out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use sealane_model::{
    Endpoint, NodeView, Protocol, Scope, ServicePort, ServiceView, TargetPort, TrafficPolicy, select,
};
use std::sync::Arc;

/// `10.0.0.1@n1 ready|serving|terminating|zone=a|port=…`: an endpoint in one line.
fn endpoint(line: &str) -> Endpoint {
    let (place, words) = line.split_once(' ').unwrap_or((line, ""));
    let (ip, node) = place.split_once('@').unwrap_or((place, ""));
    let words: Vec<&str> = words.split('|').collect();
    let number = words.iter().find_map(|w| w.strip_prefix("port=")).unwrap_or("8080");
    Endpoint {
        ports: Arc::from([(Arc::from("http"), Protocol::Tcp, number.parse().ok())]),
        ready: words.contains(&"ready"),
        serving: words.contains(&"serving"),
        terminating: words.contains(&"terminating"),
        node: (!node.is_empty()).then(|| Arc::from(node)),
        zone_hints: words.iter().filter_map(|w| w.strip_prefix("zone=")).map(Arc::from).collect(),
        ..Endpoint::new(ip.parse().unwrap())
    }
}

fn service(endpoints: &[&str]) -> ServiceView {
    ServiceView {
        cluster_ips: vec!["10.96.0.5".parse().unwrap()],
        ports: vec![ServicePort {
            name: Arc::from("http"),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: None,
            target_port: TargetPort::Number(8080),
        }],
        endpoints: endpoints.iter().map(|line| endpoint(line)).collect(),
        ..ServiceView::new("default", "web")
    }
}

fn node() -> NodeView {
    NodeView {
        name: Arc::from("n1"),
        addresses: vec!["10.123.0.2".parse().unwrap()],
        pod_cidrs: vec![],
        zone: Some(Arc::from("a")),
        ready: true,
    }
}

fn chosen(view: &ServiceView, scope: Scope) -> Vec<String> {
    select(view, &view.ports[0], scope, &node())
        .iter()
        .map(|s| format!("{}{}", s.address, if s.local { " local" } else { "" }))
        .collect()
}

#[test]
fn readiness_decides_and_terminating_ones_are_the_last_resort() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("none", &[], &[]),
        (
            "ready ones, sorted",
            &["10.0.0.2@n2 ready|serving", "10.0.0.1@n1 ready|serving"],
            &["10.0.0.1:8080 local", "10.0.0.2:8080"],
        ),
        (
            "unready ones are left out",
            &["10.0.0.1@n1 ready|serving", "10.0.0.2@n2 "],
            &["10.0.0.1:8080 local"],
        ),
        ("none ready, none terminating", &["10.0.0.1@n1 serving"], &[]),
        (
            "fallback to serving and terminating",
            &["10.0.0.1@n1 serving|terminating", "10.0.0.2@n2 terminating"],
            &["10.0.0.1:8080 local"],
        ),
        (
            "no fallback while one is ready",
            &["10.0.0.1@n1 serving|terminating", "10.0.0.2@n2 ready|serving"],
            &["10.0.0.2:8080"],
        ),
        (
            "each family falls back on its own",
            &["10.0.0.1@n1 ready", "fd00::1@n1 serving|terminating"],
            &["10.0.0.1:8080 local", "[fd00::1]:8080 local"],
        ),
        (
            "twice in the slices is one",
            &["10.0.0.1@n2 ready", "10.0.0.1@n2 ready|serving"],
            &["10.0.0.1:8080"],
        ),
        ("a port left open", &["10.0.0.1@n2 ready|port=open"], &[]),
        (
            "every endpoint hinted",
            &["10.0.0.1@n2 ready|zone=a", "10.0.0.2@n2 ready|zone=b"],
            &["10.0.0.1:8080"],
        ),
        (
            "one without a hint",
            &["10.0.0.1@n2 ready|zone=a", "10.0.0.2@n2 ready"],
            &["10.0.0.1:8080", "10.0.0.2:8080"],
        ),
        ("no hint for our zone", &["10.0.0.1@n2 ready|zone=b"], &["10.0.0.1:8080"]),
    ];
    for (name, endpoints, expected) in cases {
        assert_eq!(chosen(&service(endpoints), Scope::Internal), *expected, "{name}");
    }
}

#[test]
fn local_policies_narrow_each_scope_alone() {
    let mut view = service(&["10.0.0.1@n1 ready", "10.0.0.2@n2 ready"]);
    view.external_policy = TrafficPolicy::Local;
    assert_eq!(chosen(&view, Scope::External), ["10.0.0.1:8080 local"]);
    assert_eq!(chosen(&view, Scope::Internal), ["10.0.0.1:8080 local", "10.0.0.2:8080"]);
    view.internal_policy = TrafficPolicy::Local;
    view.endpoints = vec![endpoint("10.0.0.1@n1 serving|terminating"), endpoint("10.0.0.2@n2 ready")];
    assert_eq!(chosen(&view, Scope::Internal), ["10.0.0.1:8080 local"], "fallback within the node");
    view.endpoints.remove(0);
    assert!(chosen(&view, Scope::Internal).is_empty(), "never another node's");
}

#[test]
fn publishing_not_ready_addresses_takes_all() {
    let mut view = service(&["10.0.0.1@n1 ", "10.0.0.2@n2 ready"]);
    view.publish_not_ready = true;
    assert_eq!(chosen(&view, Scope::Internal), ["10.0.0.1:8080 local", "10.0.0.2:8080"]);
}

#[test]
fn headless_services_and_other_ports_have_none() {
    let mut view = service(&["10.0.0.1@n1 ready"]);
    view.headless = true;
    assert!(chosen(&view, Scope::Internal).is_empty());
    view.headless = false;
    view.ports[0].name = Arc::from("grpc");
    assert!(chosen(&view, Scope::Internal).is_empty(), "no such port name");
    view.ports[0].name = Arc::from("http");
    view.ports[0].protocol = Protocol::Udp;
    assert!(chosen(&view, Scope::Internal).is_empty(), "another protocol");
}
