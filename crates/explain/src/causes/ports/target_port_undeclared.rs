//! A target port that no container declares.

use super::arrival::{Arrival, knock, numbers, pods, show};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Pod, ServicePort};
use crate::subject::Subject;
use crate::words::pods as names;
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "target-port-undeclared",
    title: "No container declares the target port",
    about: "Containers need not declare the ports that they serve. But where they declare some, and a Service leads to another while none leads to \
            those, the number is often a mistake. Said only where nobody knows what the Pods listen on.",
    make: "# not on a cluster of sealane up: its nodes know what Pods listen on, so that it says target-port-not-served\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8081",
    mend: "Make `targetPort` the port on which the application listens, or declare the port in the container.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.service.is_headless() {
        return Vec::new();
    }
    let ports = subject.service.spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| finding(subject, index, port)).collect()
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort) -> Option<Finding> {
    let undeclared = pods(subject, port, |arrival| match arrival {
        Arrival::Undeclared(number) => Some(number),
        _ => None,
    });
    let (first, number) = *undeclared.first()?;
    if undeclared.len() < subject.ready || leads_to_declared(subject, first, port.protocol()) {
        return None;
    }
    let pods: Vec<&Pod> = undeclared.iter().map(|(pod, _)| *pod).collect();
    let declared: BTreeSet<u32> = pods
        .iter()
        .flat_map(|pod| pod.ports())
        .filter(|p| p.protocol() == port.protocol())
        .map(|p| p.container_port)
        .collect();
    let message = format!(
        "Service {} sends {} to port {number} of its Pods, which no container declares: they declare {}.",
        subject.name(),
        knock(port),
        numbers(&declared),
    );
    let fix = match (declared.len(), declared.first()) {
        (1, Some(declared)) => subject.patch_port(index, "targetPort", *declared),
        _ => show(subject),
    };
    let finding = CAUSE
        .finding(Severity::Hint, subject.object(), message)
        .evidence(format!("{}: containerPort {}", names(&pods), numbers(&declared)))
        .fix(fix);
    Some(finding)
}

/// Whether this or another Service leads to a port that the Pod declares: then this one is an additional one, for metrics say.
fn leads_to_declared(subject: &Subject<'_>, pod: &Pod, protocol: &str) -> bool {
    let services = subject.view.routes.services_of(pod);
    let mut targets = services
        .iter()
        .flat_map(|service| &service.spec.ports)
        .filter(|port| port.protocol() == protocol)
        .filter_map(|port: &ServicePort| pod.resolve(&port.target(), protocol));
    targets.any(|target| pod.ports().any(|p| p.container_port == target && p.protocol() == protocol))
}
