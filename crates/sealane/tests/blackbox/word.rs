//! What a node says of its Pods' sockets and of its proxy, through the API server.

use crate::harness::{Cluster, succeeds, within};
use serde_json::{Value, json};
use std::time::Duration;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: hello}
spec:
  containers:
  - {name: web, image: 'localhost/hello:4.1', readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {name: on-node}
spec:
  hostNetwork: true
  containers:
  - {name: web, image: 'localhost/hello:4.1', readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}
";

#[test]
fn a_node_says_where_its_pods_listen_and_whether_its_proxy_is_behind() {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    cluster.apply(PODS);
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/hello", "pod/on-node", "--timeout=60s"]);
    let field = |pod: &str, path: &str| {
        cluster.kubectl_ok(&["get", "pod", pod, "-o", &format!("jsonpath={{{path}}}")])
    };
    let (node, uid) = (field("hello", ".spec.nodeName"), field("hello", ".metadata.uid"));
    let path = format!("/api/v1/nodes/{node}/proxy/sealane/v1/explain");
    let ask = || serde_json::from_str::<Value>(&cluster.kubectl_ok(&["get", "--raw", &path])).unwrap();
    let listeners = |said: &Value, uid: &str| {
        let pod = said["pods"].as_array().unwrap().iter().find(|pod| pod["uid"] == uid);
        pod.map(|pod| pod["listeners"].clone())
    };
    let listener =
        |protocol: &str, port: u16| json!({"protocol": protocol, "address": "0.0.0.0", "port": port});
    let said = ask();
    let wanted = json!([listener("TCP", 8080), listener("UDP", 9000)]);
    assert_eq!(listeners(&said, &uid), Some(wanted), "{said}");
    assert_eq!(said["proxy"], json!({"behindSeconds": 0}));
    // On the node's network it has what the node has: the cluster's DNS among others.
    let all = listeners(&said, &field("on-node", ".metadata.uid")).unwrap();
    let ports: Vec<_> = all.as_array().unwrap().iter().map(|one| one["port"].as_u64().unwrap()).collect();
    assert!(ports.contains(&8080) && ports.contains(&53), "{all}");

    cluster.kubectl_ok(&["delete", "pod", "hello", "--grace-period=1"]);
    within(Duration::from_secs(10), "nothing is said of a Pod that is gone", || {
        match listeners(&ask(), &uid) {
            None => Ok(()),
            Some(still) => Err(still.to_string()),
        }
    });
}
