//! One Deployment, one Service, one request: the whole product, thinly.

use crate::harness::{Cluster, get, host_state, succeeds, within};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-deploy}
spec:
  replicas: 10
  selector: {matchLabels: {app: hello-world}}
  template:
    metadata: {labels: {app: hello-world}}
    spec:
      containers:
      - {name: hello-ctr, image: 'localhost/hello:latest', ports: [{containerPort: 8080}]}
";

#[test]
fn a_deployment_behind_a_service_answers_from_all_its_pods_and_leaves_nothing() {
    let cluster = Cluster::new();
    let before = host_state();
    succeeds(&cluster.up());
    assert!(cluster.apply(DEPLOYMENT).contains("deployment.apps/web-deploy created"));
    let expose =
        ["expose", "deployment", "web-deploy", "--name=hello-svc", "--target-port=8080", "--type=NodePort"];
    assert!(cluster.kubectl_ok(&expose).contains("service/hello-svc exposed"));
    let port = node_port(&cluster, "hello-svc");
    answered_by(&cluster, port, 10);

    let wide = cluster.kubectl_ok(&["get", "svc,ep,endpointslices,pods", "-o", "wide"]);
    for part in [
        "service/hello-svc",
        "endpoints/hello-svc",
        "+ 7 more...",
        "endpointslice.discovery.k8s.io/hello-svc-",
        "1/1",
    ] {
        assert!(wide.contains(part), "{part} in\n{wide}");
    }
    let description = cluster.kubectl_ok(&["describe", "svc", "hello-svc"]);
    for part in ["app=hello-world", "NodePort", &format!("{port}/TCP"), "8080/TCP", "External Traffic Policy"]
    {
        assert!(description.contains(part), "{part} in\n{description}");
    }

    cluster.kubectl_ok(&["scale", "deploy/web-deploy", "--replicas=3"]);
    within(Duration::from_secs(60), "scale to 3", || endpoints(&cluster, "hello-svc", 3));
    cluster.kubectl_ok(&["delete", "svc", "hello-svc"]);
    within(Duration::from_secs(5), "the port is closed", || match get(port) {
        Err(error) if error.contains("refused") || error.contains("connect") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cluster.kubectl_ok(&["delete", "deploy", "web-deploy"]);
    succeeds(&cluster.sealane(&["down"]));
    assert_eq!(before, host_state(), "down leaves the host as it was");
    assert!(!cluster.data_dir().exists() && !cluster.kubeconfig().exists());
}

/// The NodePort of a Service's first port.
pub(crate) fn node_port(cluster: &Cluster, service: &str) -> u16 {
    let port = cluster.kubectl_ok(&["get", "svc", service, "-o", "jsonpath={.spec.ports[0].nodePort}"]);
    port.parse().unwrap()
}

/// Waits until `count` different Pods have answered on a port of the host.
pub(crate) fn answered_by(cluster: &Cluster, port: u16, count: usize) {
    let mut pods = BTreeSet::new();
    within(Duration::from_secs(60), "answers of all Pods", || {
        let body = get(port)?;
        let value: serde_json::Value = serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?;
        pods.insert(value["pod"].as_str().unwrap_or_default().to_owned());
        if pods.len() == count { Ok(()) } else { Err(format!("{pods:?}")) }
    });
    let names = cluster.kubectl_ok(&["get", "pods", "-o", "name"]);
    assert!(pods.iter().all(|pod| names.contains(pod.as_str())), "{pods:?} are Pods of\n{names}");
}

/// Ok if the Service has so many ready endpoints.
pub(crate) fn endpoints(cluster: &Cluster, service: &str, count: usize) -> Result<(), String> {
    let path = "jsonpath={.subsets[*].addresses[*].ip}";
    let found = cluster.kubectl_ok(&["get", "endpoints", service, "-o", path]);
    let ready = found.split_whitespace().count();
    if ready == count { Ok(()) } else { Err(format!("{ready} ready endpoints")) }
}
