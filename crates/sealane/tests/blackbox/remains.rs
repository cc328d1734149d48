//! After `down` nothing is left, whatever was killed before; what is killed is started again by `up`.

use crate::harness::{Cluster, get, host_state, succeeds, within};
use crate::thread::{DEPLOYMENT, answered_by, endpoints, node_port};
use std::process::Command;
use std::time::Duration;

pub(crate) fn kill_nine(pids: &[i32]) {
    assert!(!pids.is_empty(), "a process to kill");
    for pid in pids {
        succeeds(&Command::new("kill").args(["-9", &pid.to_string()]).output().unwrap());
    }
}

fn with_pods() -> (Cluster, u16) {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    cluster.apply(&DEPLOYMENT.replace("replicas: 10", "replicas: 2"));
    cluster.kubectl_ok(&["expose", "deployment", "web-deploy", "--type=NodePort"]);
    let port = node_port(&cluster, "web-deploy");
    answered_by(&cluster, port, 2);
    (cluster, port)
}

#[test]
fn nothing_is_left_after_a_kill_of_any_process() {
    for process in ["run server", "run publish", "run node", "run pod-shim"] {
        let before = {
            let _alone = Cluster::new();
            host_state()
        };
        let (cluster, _) = with_pods();
        kill_nine(&cluster.pids(process));
        succeeds(&cluster.sealane(&["down"]));
        assert_eq!(before, host_state(), "after kill -9 of {process}");
        let status = cluster.sealane(&["status"]);
        assert!(!status.status.success());
    }
}

#[test]
fn what_was_killed_comes_back_with_up_and_pods_live_on() {
    let (cluster, port) = with_pods();
    let started = || {
        let path = "jsonpath={.items[*].status.containerStatuses[0].state.running.startedAt}";
        cluster.kubectl_ok(&["get", "pods", "-o", path])
    };
    let before = started();
    for process in ["run server", "run node", "run publish"] {
        kill_nine(&cluster.pids(process));
        if process != "run publish" {
            within(Duration::from_secs(5), "published ports answer meanwhile", || get(port).map(drop));
        }
        let status = cluster.sealane(&["status"]);
        assert!(String::from_utf8_lossy(&status.stdout).contains("DEAD"));
        succeeds(&cluster.up());
        within(Duration::from_secs(10), "the Service answers", || get(port).map(drop));
        assert_eq!(before, started(), "no container was restarted by the loss of {process}");
    }
}

#[test]
fn a_cluster_that_went_down_with_its_data_kept_comes_back_the_same() {
    let (cluster, port) = with_pods();
    let objects = || {
        let services = cluster.kubectl_ok(&["get", "svc", "-o", "jsonpath={.items[*].spec.clusterIP}"]);
        let pods = cluster.kubectl_ok(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]);
        (services, pods)
    };
    let before = objects();
    succeeds(&cluster.sealane(&["down", "--keep-data"]));
    succeeds(&cluster.up());
    assert_eq!(before, objects());
    within(Duration::from_secs(30), "the endpoints are back", || endpoints(&cluster, "web-deploy", 2));
    within(Duration::from_secs(10), "the Service answers", || get(port).map(drop));
    let restarts = cluster.kubectl_ok(&[
        "get",
        "pods",
        "-o",
        "jsonpath={.items[*].status.containerStatuses[0].restartCount}",
    ]);
    assert_eq!(restarts, "1 1");
}
