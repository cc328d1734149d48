//! Several nodes: spread Pods, the same NodePort on every node, a node that goes dark and comes back, one that is added; and the
//! loss of every process in turn.

use crate::harness::{Cluster, get, host_state, succeeds, within};
use crate::remains::kill_nine;
use crate::thread::{DEPLOYMENT, answered_by, endpoints, node_port};
use crate::toolbox::{page, start_client};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn three_nodes() -> (Cluster, u16) {
    let cluster = Cluster::new();
    succeeds(&cluster.up_with(&["--nodes", "3"]));
    cluster.apply(&DEPLOYMENT.replace("replicas: 10", "replicas: 6"));
    cluster.kubectl_ok(&["expose", "deployment", "web-deploy", "--type=NodePort"]);
    let port = node_port(&cluster, "web-deploy");
    answered_by(&cluster, port, 6);
    (cluster, port)
}

fn jsonpath(cluster: &Cluster, what: &[&str], path: &str) -> String {
    cluster.kubectl_ok(&[&["get"], what, &["-o", &format!("jsonpath={path}")]].concat())
}

fn nodes_of_pods(cluster: &Cluster) -> BTreeSet<String> {
    let names = jsonpath(cluster, &["pods", "-l", "app=hello-world"], "{.items[*].spec.nodeName}");
    names.split_whitespace().map(str::to_owned).collect()
}

fn node_addresses(cluster: &Cluster) -> Vec<String> {
    let path = "{.items[*].status.addresses[?(@.type=='InternalIP')].address}";
    jsonpath(cluster, &["nodes"], path).split_whitespace().map(str::to_owned).collect()
}

fn ready(cluster: &Cluster, node: &str) -> String {
    jsonpath(cluster, &["node", node], "{.status.conditions[?(@.type=='Ready')].status}")
}

#[test]
fn any_node_answers_on_the_node_port_whether_it_runs_a_pod_or_not() {
    let before = {
        let _alone = Cluster::new();
        host_state()
    };
    let (cluster, port) = three_nodes();
    let spread = nodes_of_pods(&cluster);
    assert_eq!(spread.len(), 3, "six Pods are spread over three nodes: {spread:?}");
    let ranges = jsonpath(&cluster, &["nodes"], "{.items[*].spec.podCIDR}");
    assert_eq!(ranges.split_whitespace().collect::<BTreeSet<_>>().len(), 3, "a Pod range a node: {ranges}");
    start_client(&cluster);

    // Pod to Pod across nodes without NAT: the app shows the address that it sees as the client's.
    let own = jsonpath(&cluster, &["pod", "client"], "{.status.podIP}");
    let pods = jsonpath(&cluster, &["pods", "-l", "app=hello-world"], "{.items[*].status.podIP}");
    for pod in pods.split_whitespace() {
        let page = page(&cluster, &format!("http://{pod}:8080/"));
        assert!(page.contains(&own), "{pod} saw another client than {own}:\n{page}");
    }

    cluster.kubectl_ok(&["scale", "deploy/web-deploy", "--replicas=1"]);
    within(Duration::from_secs(40), "one endpoint", || endpoints(&cluster, "web-deploy", 1));
    let addresses = node_addresses(&cluster);
    assert_eq!(addresses.len(), 3);
    for address in addresses {
        page(&cluster, &format!("http://{address}:{port}/"));
    }
    succeeds(&cluster.sealane(&["down"]));
    assert_eq!(before, host_state(), "down leaves the host as it was");
}

#[test]
fn a_dark_node_loses_its_endpoints_and_comes_back_and_another_can_be_added() {
    let (cluster, port) = three_nodes();
    succeeds(&cluster.sealane(&["node", "stop", "node-3"]));
    within(Duration::from_secs(90), "node-3 is NotReady", || match ready(&cluster, "node-3").as_str() {
        "Unknown" => Ok(()),
        other => Err(other.into()),
    });
    let on_dark = || {
        let path = "{range .items[*].endpoints[?(@.conditions.ready==true)]}{.nodeName} {end}";
        let label = "kubernetes.io/service-name=web-deploy";
        jsonpath(&cluster, &["endpointslices", "-l", label], path).matches("node-3").count()
    };
    within(Duration::from_secs(20), "its endpoints go", || match on_dark() {
        0 => Ok(()),
        n => Err(format!("{n} endpoints on node-3")),
    });
    for _ in 0..30 {
        get(port).expect("no request goes to the dark node");
    }
    let text = String::from_utf8_lossy(&cluster.sealane(&["status"]).stdout).into_owned();
    assert!(text.lines().any(|l| l.starts_with("node-3") && l.contains("dark")), "{text}");

    succeeds(&cluster.sealane(&["node", "start", "node-3"]));
    within(Duration::from_secs(60), "node-3 is back", || match ready(&cluster, "node-3").as_str() {
        "True" => Ok(()),
        other => Err(other.into()),
    });
    within(Duration::from_secs(60), "and its endpoints", || endpoints(&cluster, "web-deploy", 6));

    let started = Instant::now();
    succeeds(&cluster.sealane(&["node", "add"]));
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(ready(&cluster, "node-4"), "True");
    cluster.kubectl_ok(&["scale", "deploy/web-deploy", "--replicas=10"]);
    within(Duration::from_secs(60), "ten endpoints", || endpoints(&cluster, "web-deploy", 10));
    assert!(nodes_of_pods(&cluster).contains("node-4"), "the new node gets Pods");
    assert!(succeeds(&cluster.up()).contains("is up"));
}

#[test]
fn three_nodes_survive_the_loss_of_every_process_in_turn() {
    let (cluster, port) = three_nodes();
    start_client(&cluster);
    let ip = jsonpath(&cluster, &["svc", "web-deploy"], "{.spec.clusterIP}");
    let running =
        "{range .items[*]}{.metadata.uid} {.status.containerStatuses[0].state.running.startedAt} {end}";
    let objects = || {
        let pods = jsonpath(&cluster, &["pods"], running);
        let names = "{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}/{.metadata.uid} {end}";
        (pods, jsonpath(&cluster, &["svc,deploy,rs,cm,sa,nodes,ns", "-A"], names))
    };
    let before = objects();
    for process in [
        "run server",
        "run node --node node-1",
        "run node --node node-2",
        "run node --node node-3",
        "run publish",
    ] {
        // Asked from inside a Pod, all the time that the process is dead and while `up` starts it again.
        let asking = "for i in $(seq 1 40); do curl -sSf -m 2 -o /dev/null http://IP:8080/ && echo ok; usleep 50000; done";
        let log = "/tmp/log";
        let script = format!("({}) >{log} 2>&1 &", asking.replace("IP", &ip));
        crate::toolbox::in_client(&cluster, &script).unwrap();
        kill_nine(&cluster.pids(process));
        if process != "run publish" {
            within(Duration::from_secs(5), "published ports answer meanwhile", || get(port).map(drop));
        }
        std::thread::sleep(Duration::from_millis(500));
        succeeds(&cluster.up_with(&["--nodes", "3"]));
        within(Duration::from_secs(10), "the Service answers", || get(port).map(drop));
        let answered = || crate::toolbox::in_client(&cluster, &format!("grep -c ok {log}"));
        within(
            Duration::from_secs(20),
            &format!("the ClusterIP answered all along without {process}"),
            || match answered()?.trim() {
                "40" => Ok(()),
                n => Err(format!("{n} of 40")),
            },
        );
        assert_eq!(before, objects(), "no container restarted, no object lost, by the loss of {process}");
    }
}
