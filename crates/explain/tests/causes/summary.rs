//! The sentence about a Service, or a Pod, where nothing is wrong.

use crate::support::{self, Case};
use sealane_explain::{Snapshot, View, pod_summary, summary};

fn case(change: &str) -> Snapshot {
    let case: Case = serde_norway::from_str(&format!("case: a summary\n{change}")).unwrap();
    support::snapshot(&case)
}

/// A change of the healthy cluster, a Service, and its sentence.
const SERVICES: &[(&str, &str, &str)] = &[
    ("", "web", "3 of 3 Pods ready on 2 nodes behind 10.96.4.7:80 → 8080"),
    ("", "kubernetes", "1 ready endpoint (the Service has no selector) behind 10.96.0.1:443 → 6443"),
    ("", "kube-dns", "1 of 1 Pod ready on 1 node behind 10.96.0.10:53/UDP → 53, 10.96.0.10:53 → 53"),
    (
        "change: {Service/web: {spec: {type: NodePort, ports: [{port: 80, targetPort: http, nodePort: 30001}]}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind 10.96.4.7:80 and every node's 30001 → http",
    ),
    (
        "change: {Service/web: {spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {hostname: lb.example.com}]}}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind 10.96.4.7:80 → 8080, load balancer 192.0.2.1 and lb.example.com",
    ),
    (
        "change: {Service/web: {spec: {type: LoadBalancer}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind 10.96.4.7:80 → 8080, load balancer pending",
    ),
    (
        "change: {Service/web: {spec: {clusterIP: None}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind its name alone (headless: DNS answers with the Pods' addresses), port 8080",
    ),
    (
        "change: {Service/web: {spec: {clusterIP: None, ports: null}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind its name alone (headless: DNS answers with the Pods' addresses)",
    ),
    (
        "change: {Service/web: {spec: {clusterIP: \"fd00::7\"}}}",
        "web",
        "3 of 3 Pods ready on 2 nodes behind [fd00::7]:80 → 8080",
    ),
    (
        "change: {Service/web: {spec: {type: ExternalName, externalName: web.example.com}}}",
        "web",
        "a name for web.example.com: DNS answers with a CNAME",
    ),
    (
        "change: {Pod/web-1: {metadata: {deletionTimestamp: \"2026-01-01T00:10:00Z\"}}, \
         Pod/web-2: {status: {conditions: [{type: Ready, status: \"False\"}], \
         containerStatuses: [{name: hello, ready: false, state: {running: {startedAt: \"2026-01-01T00:09:55Z\"}}}]}}}",
        "web",
        "1 of 2 Pods ready on 1 node (1 starting) behind 10.96.4.7:80 → 8080",
    ),
];

#[test]
fn every_type_of_service_has_its_sentence() {
    for (change, name, sentence) in SERVICES {
        let snapshot = case(change);
        let service = snapshot.services.iter().find(|service| service.metadata.name == *name).unwrap();
        assert_eq!(summary(&View::new(&snapshot), service), *sentence, "{name} {change}");
    }
}

#[test]
fn a_pod_is_behind_the_services_that_select_it() {
    let also = "add: [{kind: Service, metadata: {name: api, namespace: default}, spec: {selector: {version: \"4.1\", app: hello-world}}}]";
    let unready = "change: {Pod/web-1: {metadata: {labels: {app: other}}, status: {conditions: null}}}";
    let table = [
        ("", "ready, behind Service web"),
        (also, "ready, behind Services api and web"),
        (unready, "not ready, and no Service selects it"),
    ];
    for (change, sentence) in table {
        let snapshot = case(change);
        let pod = snapshot.pods.iter().find(|pod| pod.metadata.name == "web-1").unwrap();
        assert_eq!(pod_summary(&View::new(&snapshot), pod), sentence, "{change}");
    }
}
