//! Pods on nodes that are not ready.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::{Node, condition};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{count, is, list, quoted};
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "node-not-ready",
    title: "Pods are on a node that is not ready",
    about: "A node whose kubelet is silent, or says that it cannot work, takes its Pods out of their Services: nobody knows whether they \
            still serve. After five minutes they are deleted, and what made them makes others elsewhere.",
    make: "# not on a cluster of sealane up: it takes down a node of two, which other tests may use; by hand:\n\
           # sealane up --nodes 2, then\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=2\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl rollout status deployment web\n\
           sudo sealane node stop node-2",
    mend: "Bring the node back: its machine, its network, its kubelet. Or delete the node, so that its Pods are made elsewhere at once.",
    needs: &[Kind::Node],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let counts = |state: State<'_>| match state {
        State::Finished => false,
        // Others are made for those that are being deleted; they count where there are none.
        State::Terminating => subject.live().is_empty(),
        _ => true,
    };
    let lost = subject.with_states().filter(|(pod, state)| counts(*state) && subject.view.is_lost(pod));
    let lost: Vec<&crate::objects::Pod> = lost.map(|(pod, _)| pod).collect();
    let nodes: BTreeSet<&str> = lost.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let nodes: Vec<&str> = nodes.into_iter().collect();
    let Some(first) = nodes.first().and_then(|name| subject.view.node(name)) else { return Vec::new() };
    let all = subject.live().len().max(lost.len());
    let message = format!(
        "{} of {} behind Service {} {} on {} {}, which {} not ready: {}.",
        lost.len(),
        count(all, "Pod"),
        subject.name(),
        is(lost.len()),
        if nodes.len() == 1 { "node" } else { "nodes" },
        list(&nodes),
        is(nodes.len()),
        said(first),
    );
    let elsewhere = subject.pods.iter().any(|pod| pod.is_ready() && !subject.view.is_lost(pod));
    let severity = if elsewhere { Severity::Warning } else { Severity::Error };
    let fix = match first.is_sealane() {
        true => format!("sudo sealane status; sudo sealane node start {}", nodes[0]),
        false => format!("kubectl describe node {}", nodes[0]),
    };
    vec![CAUSE.finding(severity, subject.object(), message).evidence(crate::words::pods(&lost)).fix(fix)]
}

/// What the node's condition says.
fn said(node: &Node) -> String {
    match condition(&node.status.conditions, "Ready") {
        None => "its kubelet has never said anything".into(),
        Some(ready) if ready.message.is_empty() => format!("its condition Ready is {}", ready.status),
        Some(ready) => quoted(&ready.message),
    }
}
