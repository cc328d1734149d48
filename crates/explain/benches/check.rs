//! `check` on a large cluster: 10,000 Services and 50,000 Pods as an API server lists them, some of them in trouble.
//!
//! Prints the time to decode the lists, the time to check them, and the peak of the memory.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that measures")]

use sealane_explain::{Kind, Snapshot, Unread, View, check};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SERVICES: usize = 10_000;
const PODS_EACH: usize = 5;
const NODES: usize = 100;
/// As the command asks for them.
const PAGE: usize = 500;

fn main() {
    // The DNS is not among it.
    let unread = vec![Unread { kind: Kind::ClusterDns, why: Some("not listed".into()) }];
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let mut snapshot = Snapshot { now, unread, ..Snapshot::default() };
    let mut decoding = Duration::ZERO;
    decoding += take(&mut snapshot, Kind::Node, NODES, node);
    decoding += take(&mut snapshot, Kind::Service, SERVICES, service);
    decoding += take(&mut snapshot, Kind::EndpointSlice, SERVICES, slice);
    decoding += take(&mut snapshot, Kind::Pod, SERVICES * PODS_EACH, pod);
    decoding += take(&mut snapshot, Kind::ReplicaSet, SERVICES, replica_set);
    decoding += take(&mut snapshot, Kind::Deployment, SERVICES, deployment);
    let began = Instant::now();
    let findings = check(&View::new(&snapshot), None);
    let took = began.elapsed();
    // One in a hundred is broken: all of them are found, and nothing else.
    assert_eq!(findings.len(), SERVICES / 100, "{:?}", findings.first());
    println!(
        "  {SERVICES} Services, {} Pods: lists decoded in {} ms",
        SERVICES * PODS_EACH,
        decoding.as_millis()
    );
    println!(
        "  check after that {} ms (goal 2000), peak of the memory {:.0} MB (goal 300)",
        took.as_millis(),
        peak_kb() / 1024.0
    );
}

/// Takes in a list page by page, and returns the time without that of making it up.
fn take(snapshot: &mut Snapshot, kind: Kind, count: usize, object: impl Fn(usize) -> Value) -> Duration {
    let mut spent = Duration::ZERO;
    for first in (0..count).step_by(PAGE) {
        let items: Vec<Value> = (first..count.min(first + PAGE)).map(&object).collect();
        let page = serde_json::to_vec(&json!({"kind": "List", "metadata": {}, "items": items})).unwrap();
        let began = Instant::now();
        snapshot.take(kind, &page).unwrap();
        spent += began.elapsed();
    }
    spent
}

fn namespace(service: usize) -> String {
    format!("team-{}", service % 100)
}

fn node(n: usize) -> Value {
    json!({"metadata": {"name": format!("node-{n}")}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.33.0"},
    }})
}

fn service(n: usize) -> Value {
    // Every hundredth asks for a version that its Pods do not have.
    let version = if n % 100 == 7 { "2" } else { "1" };
    json!({"metadata": {"name": format!("app-{n}"), "namespace": namespace(n), "managedFields": [{"manager": "kubectl"}]}, "spec": {
        "type": "ClusterIP", "clusterIP": format!("10.96.{}.{}", n / 250, n % 250 + 1), "sessionAffinity": "None",
        "selector": {"app": format!("app-{n}"), "version": version},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
    }})
}

fn slice(n: usize) -> Value {
    let endpoint = |i: usize| {
        json!({"addresses": [address(n, i)], "conditions": {"ready": true, "serving": true, "terminating": false},
               "nodeName": format!("node-{}", (n + i) % NODES), "targetRef": {"kind": "Pod", "name": pod_name(n, i), "uid": format!("uid-{n}-{i}")}})
    };
    let broken = n % 100 == 7;
    let endpoints: Vec<Value> = if broken { Vec::new() } else { (0..PODS_EACH).map(endpoint).collect() };
    json!({"metadata": {"name": format!("app-{n}-x"), "namespace": namespace(n), "labels": {
        "kubernetes.io/service-name": format!("app-{n}"), "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }}, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}

fn address(n: usize, i: usize) -> String {
    let number = n * PODS_EACH + i;
    format!("10.{}.{}.{}", 128 + number / 62_500, number / 250 % 250, number % 250 + 1)
}

fn pod_name(n: usize, i: usize) -> String {
    format!("app-{n}-7db6dffc4d-{i}")
}

fn labels(n: usize) -> Value {
    json!({"app": format!("app-{n}"), "version": "1", "pod-template-hash": "7db6dffc4d", "team": format!("team-{}", n % 100)})
}

fn pod_spec() -> Value {
    json!({"containers": [{
        "name": "app", "image": "registry.example.com/team/app:1.2.3", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "A", "value": "not looked at"}], "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 10},
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    }], "dnsPolicy": "ClusterFirst", "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]})
}

fn pod(number: usize) -> Value {
    let (n, i) = (number / PODS_EACH, number % PODS_EACH);
    let mut spec = pod_spec();
    spec["nodeName"] = json!(format!("node-{}", (n + i) % NODES));
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"metadata": {
        "name": pod_name(n, i), "namespace": namespace(n), "uid": format!("uid-{n}-{i}"), "labels": labels(n),
        "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("app-{n}-7db6dffc4d"), "controller": true}],
    }, "spec": spec, "status": {
        "phase": "Running", "podIP": address(n, i), "podIPs": [{"ip": address(n, i)}],
        "conditions": [condition("PodScheduled"), condition("Initialized"), condition("ContainersReady"), condition("Ready")],
        "containerStatuses": [{"name": "app", "ready": true, "started": true, "restartCount": 0, "image": "registry.example.com/team/app:1.2.3",
                               "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": {}}],
    }})
}

fn replica_set(n: usize) -> Value {
    let mut set = deployment(n);
    set["metadata"]["name"] = json!(format!("app-{n}-7db6dffc4d"));
    set["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "name": format!("app-{n}"), "controller": true}]);
    set
}

fn deployment(n: usize) -> Value {
    json!({"metadata": {"name": format!("app-{n}"), "namespace": namespace(n), "labels": {"app": format!("app-{n}")}}, "spec": {
        "replicas": PODS_EACH, "selector": {"matchLabels": {"app": format!("app-{n}")}},
        "template": {"metadata": {"labels": labels(n)}, "spec": pod_spec()},
    }, "status": {"replicas": PODS_EACH, "updatedReplicas": PODS_EACH, "conditions": [{"type": "Available", "status": "True"}]}})
}

/// The most memory that this process ever had, in kilobytes (proc_pid_status(5), `VmHWM`).
fn peak_kb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
