//! TCP where the Pods serve UDP, or the other way round.

use super::arrival::{Arrival, pods, target};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Pod, ServicePort};
use crate::subject::Subject;
use crate::words::pods as names;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "protocol-mismatch",
    title: "The Service's protocol is not the Pods'",
    about: "A Service's port is TCP unless it says otherwise. An application that serves UDP never sees what a TCP port of that number gets, and \
            the other way round.",
    make: "kubectl create deployment echo --image=localhost/hello:4.1 --port=9000\n\
           kubectl expose deployment echo --port=9000 --protocol=TCP\n\
           kubectl rollout status deployment echo",
    mend: "Give the Service's port the protocol of the application.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = subject.service.spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| finding(subject, index, port)).collect()
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort) -> Option<Finding> {
    let others = pods(subject, port, |arrival| match arrival {
        Arrival::OtherProtocol { number, protocol, known } => Some((number, protocol, known)),
        _ => None,
    });
    let (_, (number, protocol, _)) = *others.first()?;
    let known = others.iter().any(|(_, (.., known))| *known);
    let verb = if known { "serve" } else { "declare" };
    let message = format!(
        "Service {} sends {} to port {} of its Pods, but they {verb} only {protocol} there.",
        subject.name(),
        port.protocol(),
        target(port, number),
    );
    let pods: Vec<&Pod> = others.iter().map(|(pod, _)| *pod).collect();
    let finding = CAUSE
        .finding(if known { Severity::Error } else { Severity::Warning }, subject.object(), message)
        .evidence(format!("{}: port {number} is {protocol}", names(&pods)))
        .fix(subject.patch_port(index, "protocol", protocol));
    Some(finding)
}
