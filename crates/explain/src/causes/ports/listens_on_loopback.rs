//! An application that listens on 127.0.0.1 only.

use super::arrival::{Arrival, knock, pods, target};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Pod, ServicePort};
use crate::subject::Subject;
use crate::words::{pods as names, share};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "listens-on-loopback",
    title: "The application listens on 127.0.0.1 only",
    about: "A Service sends connections to the Pod's own address. An application that listens on a loopback address (the default of \
            many development servers) takes only what comes from within its Pod, and all others are refused.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl set env deployment web HELLO_LISTEN=127.0.0.1\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl rollout status deployment web",
    mend: "Let the application listen on 0.0.0.0 (or ::), by its arguments, environment or configuration.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    subject.service.spec.ports.iter().filter_map(|port| finding(subject, port)).collect()
}

fn finding(subject: &Subject<'_>, port: &ServicePort) -> Option<Finding> {
    let deaf = pods(subject, port, |arrival| match arrival {
        Arrival::Loopback(number) => Some(number),
        _ => None,
    });
    let (first, number) = deaf.first()?;
    let message = format!(
        "Service {} sends {} to port {} of its Pods, but in {} the application listens there on 127.0.0.1 only, \
         so that nobody outside of the Pod reaches it.",
        subject.name(),
        knock(port),
        target(port, *number),
        share(deaf.len(), subject.ready, "ready Pod"),
    );
    let severity = if deaf.len() == subject.ready { Severity::Error } else { Severity::Warning };
    let pods: Vec<&Pod> = deaf.iter().map(|(pod, _)| *pod).collect();
    let finding = CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("{}: {} on a loopback address", names(&pods), number))
        .fix(subject.kubectl(&format!("describe pod {}", first.metadata.name)));
    Some(finding)
}
