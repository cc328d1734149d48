//! Workloads that make no Pods since none are wanted.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::Workload;
use crate::subject::Subject;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "scaled-to-zero",
    title: "What makes the Pods is scaled to zero",
    about: "The selector is right, and a Deployment or StatefulSet would make such Pods, but is told to make none. Connections are \
            refused until it is scaled up.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=0\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Scale it up. If an autoscaler scaled it down, something has to wake it: see what it waits for.",
    needs: &[Kind::Deployment, Kind::StatefulSet],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let workloads = subject.workloads();
    let Some(first) = workloads.first() else { return Vec::new() };
    let none = |w: &Workload| w.kind != "DaemonSet" && w.replicas() == 0;
    if !subject.live().is_empty() || !workloads.iter().all(|workload| none(workload)) {
        return Vec::new();
    }
    let (kind, name) = (&first.kind, &first.metadata.name);
    let message = format!("Service {} has no Pods, since {kind} {name} is scaled to zero.", subject.name());
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("{kind} {name}, replicas: 0"))
        .fix(subject.kubectl(&format!("scale {} {name} --replicas=1", kind.to_lowercase())));
    vec![finding]
}
