//! `explain` on our own cluster: every cause whose documentation says how to make it is made so, with the real kubectl, each in a
//! namespace of its own, and is found; what is healthy has no finding; errors become Events.

use crate::harness::{Cluster, succeeds, within};
use sealane_explain::{CAUSES, Cause};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// What the documentation says of causes that our cluster cannot have.
const NOT_HERE: &str = "# not on a cluster of sealane up";
/// The grace that starting Pods have, and the time that back-offs take to show.
const FOUND: Duration = Duration::from_secs(90);

/// A kubeconfig whose context has this namespace.
fn in_namespace(cluster: &Cluster, namespace: &str) -> PathBuf {
    let path = cluster.directory.path().join(format!("kubeconfig-{namespace}"));
    std::fs::copy(cluster.kubeconfig(), &path).unwrap();
    let arguments = ["config", "set-context", "--current", "--namespace", namespace];
    succeeds(&Command::new("kubectl").args(arguments).env("KUBECONFIG", &path).output().unwrap());
    path
}

fn explain(kubeconfig: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_sealane")).args(arguments);
    command.env("KUBECONFIG", kubeconfig).output().unwrap()
}

/// Cause and message of each finding.
fn findings(output: &Output) -> Vec<(String, String)> {
    let error = String::from_utf8_lossy(&output.stderr);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {error}"));
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let findings = value["findings"].as_array().unwrap().iter();
    let findings: Vec<_> = findings.map(|f| (text(&f["cause"]), text(&f["message"]))).collect();
    assert_eq!(output.status.code(), Some(if findings.is_empty() { 0 } else { 2 }), "{error}");
    findings
}

/// Does what the documentation of a cause says.
fn make(cluster: &Cluster, cause: &Cause) -> Result<PathBuf, String> {
    cluster.kubectl_ok(&["create", "namespace", cause.name]);
    let kubeconfig = in_namespace(cluster, cause.name);
    let mut shell = Command::new("timeout");
    shell.args(["60", "bash", "-ec", cause.make]).env("KUBECONFIG", &kubeconfig);
    let output = shell.env("KUBECACHEDIR", cluster.directory.path().join("cache")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(kubeconfig)
    } else {
        Err(format!("{}:\n{}\n{said}", cause.name, cause.make))
    }
}

/// The cause is found before that time, with its words.
fn found(cause: &Cause, kubeconfig: &PathBuf, end: Instant) -> Result<(), String> {
    loop {
        // Some make a namespace of their own.
        let everywhere = cause.make.contains("kubectl create namespace");
        let check = ["check", "-o", "json", "-A"];
        let found = findings(&explain(kubeconfig, &check[..if everywhere { 4 } else { 3 }]));
        let says =
            |(name, message): &(String, String)| name == cause.name && message.contains(words(cause.name));
        if found.iter().any(says) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("{}: {found:#?}, not {:?}", cause.name, words(cause.name)));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn causes_that_are_made_are_found() {
    let cluster = Cluster::new();
    succeeds(&cluster.up_with(&["--nodes", "2"]));
    let healthy = findings(&explain(&cluster.kubeconfig(), &["check", "-A", "-o", "json"]));
    assert!(healthy.is_empty(), "{healthy:?}");
    let here: Vec<&Cause> =
        CAUSES.iter().copied().filter(|cause| !cause.make.starts_with(NOT_HERE)).collect();
    assert!(here.len() >= 15, "{here:?}");
    let made: Vec<_> = here.iter().map(|cause| (*cause, make(&cluster, cause))).collect();
    let end = Instant::now() + FOUND;
    let look = |(cause, made): (&Cause, Result<PathBuf, String>)| found(cause, &made?, end);
    let wrong: Vec<String> = made.into_iter().filter_map(|made| look(made).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    events_say_it(&cluster);
}

/// What a finding of that cause says at least.
const WORDS: &[(&str, &str)] = &[
    ("selector-matches-nothing", "Service web selects no Pod: 1 Pod has app=web, not app=webb."),
    (
        "selects-two-applications",
        "Service web selects two applications: 1 Pod of Deployment admin (app=admin) and 1 Pod of Deployment web (app=web)",
    ),
    ("no-selector-no-slices", "Service db has no selector, and nobody has written endpoints for it"),
    (
        "stale-slices",
        "also sends clients to 192.0.2.7, from EndpointSlice web-by-hand, which was written by hand.",
    ),
    ("scaled-to-zero", "Service web has no Pods, since Deployment web is scaled to zero."),
    ("rollout-stuck", "serviceaccount \"nobody\" not found."),
    ("deployment-paused", "Deployment web behind Service web is paused, so its change waits"),
    ("unscheduled", "have no node: 0/2 nodes are available"),
    (
        "image-pull",
        "waits for image localhost/helo:4.1: image localhost/helo:4.1 is not in the machine's store; load it with: sealane image load FILE.",
    ),
    ("cannot-start", "cannot start: configmap \"settings\" not found (container hello)."),
    ("crash-loop", "keeps crashing: container hello ended with exit code 1"),
    ("oom-killed", "container hello is killed for taking more than its limit of 3Mi."),
    ("readiness-probe-port", "asks port 8081, but no container listens at that port (the Pod serves 8080)."),
    (
        "not-ready",
        "the readiness probe of container hello (GET :8080/wrong) says: HTTP probe failed with statuscode: 404.",
    ),
    ("readiness-gate", "waits for readiness gate example.com/registered: nobody has set that condition."),
    ("publishes-not-ready", "though that one is not ready: it has publishNotReadyAddresses."),
    ("all-terminating", "The only Pod behind Service web is being deleted"),
    (
        "target-port-not-served",
        "to port 8081 of its Pods, where nothing listens in its only ready Pod; it listens on 8080.",
    ),
    ("listens-on-loopback", "the application listens there on 127.0.0.1 only"),
    ("protocol-mismatch", "Service echo sends TCP to port 9000 of its Pods, but they serve only UDP there."),
    (
        "named-port-missing",
        "to the port named htp, but its only Pod has no such port: the nearest is http (8080).",
    ),
    ("named-port-partly-missing", "1 of 2 ready Pods behind Service web has no port named http"),
    (
        "slice-port-name-differs",
        "its slices have no port named postgres, and EndpointSlice db-1 has only one named sql.",
    ),
    (
        "app-protocol-contradicts",
        "By its name, port grpc (80) of Service web speaks grpc, but its appProtocol says http.",
    ),
    ("internal-traffic-local", "internalTrafficPolicy is Local"),
    (
        "load-balancer-class-unknown",
        "asks for a load balancer of class example.com/internal, and nobody in this cluster has answered",
    ),
    ("headless-port-differs", "there they have to use port 8080, not 80."),
    ("external-name-is-address", "stands for the name 10.1.2.3, which is an IP address"),
    ("external-name-unresolvable", "stands for the name database, which is looked up as it stands"),
    ("namespace-shadows-domain", "for Pods example.com is Service example there."),
    ("name-too-long", "has 67 characters, so its host name is cut to 63"),
    ("ndots", "Pod client sets ndots:1"),
    ("host-network-dns", "it asks the node's DNS, which resolves no Service."),
];

/// A cause that is made here without words of its own fails.
fn words(cause: &str) -> &'static str {
    WORDS.iter().find(|(name, _)| *name == cause).map_or("(no words for it in WORDS)", |(_, words)| words)
}

/// The sentence is in `kubectl describe`, once.
fn events_say_it(cluster: &Cluster) {
    within(Duration::from_secs(60), "an Event", || {
        let cause = "selector-matches-nothing";
        let said = cluster.kubectl_ok(&["describe", "service", "web", "-n", cause]);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("SelectorMatchesNothing")).collect();
        let right = matches!(lines[..], [line] if line.contains("sealane-explain") && line.contains("selects no Pod"));
        if right { Ok(()) } else { Err(said) }
    });
}
