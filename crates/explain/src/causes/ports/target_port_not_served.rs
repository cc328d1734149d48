//! A target port at which no application listens.

use super::arrival::{Arrival, knock, listening, numbers, pods, show, target};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Pod, ServicePort};
use crate::subject::Subject;
use crate::words::{pods as names, share};
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "target-port-not-served",
    title: "Nothing listens on the target port",
    about: "What arrives at a Service's `port` goes to the `targetPort` of a Pod. Where no application listens there, the Pod refuses \
            the connection, though it is ready and the Service has endpoints.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8081\n\
           kubectl rollout status deployment web",
    mend: "Make `targetPort` the port on which the application listens.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = &subject.service.spec.ports;
    let silent: Vec<_> =
        ports.iter().enumerate().map(|(i, port)| (i, port, unserved(subject, port))).collect();
    // Clients of a headless Service ask Pods for what they know to be there: a port more does no harm.
    if subject.service.is_headless() && silent.iter().any(|(.., pods)| pods.is_empty()) {
        return Vec::new();
    }
    let silent = silent.into_iter().filter(|(.., pods)| !pods.is_empty());
    silent.map(|(index, port, pods)| finding(subject, index, port, &pods)).collect()
}

fn unserved<'a>(subject: &Subject<'a>, port: &ServicePort) -> Vec<(&'a Pod, u32)> {
    pods(subject, port, |arrival| match arrival {
        Arrival::Nothing(number) => Some(number),
        _ => None,
    })
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort, silent: &[(&Pod, u32)]) -> Finding {
    let open: BTreeSet<u32> =
        silent.iter().flat_map(|(pod, _)| listening(subject, pod, port.protocol())).collect();
    let they_listen = if silent.len() == 1 { "it listens" } else { "they listen" };
    let instead =
        if open.is_empty() { String::new() } else { format!("; {they_listen} on {}", numbers(&open)) };
    let message = format!(
        "Service {} sends {} to port {} of its Pods, where nothing listens in {}{instead}.",
        subject.name(),
        knock(port),
        target(port, silent[0].1),
        share(silent.len(), subject.ready, "ready Pod"),
    );
    let severity = if silent.len() == subject.ready { Severity::Error } else { Severity::Warning };
    let fix = match (open.len(), open.first()) {
        (1, Some(served)) => subject.patch_port(index, "targetPort", *served),
        _ => show(subject),
    };
    let pods: Vec<&Pod> = silent.iter().map(|(pod, _)| *pod).collect();
    CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("targetPort: {}", port.target()))
        .evidence(format!("{}: listening on {} {}", names(&pods), port.protocol(), numbers(&open)))
        .fix(fix)
}
