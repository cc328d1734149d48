//! Deployments whose changes wait.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::Workload;
use crate::subject::Subject;
use crate::words::{count, has};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "deployment-paused",
    title: "A paused Deployment does not roll out its change",
    about: "A paused Deployment keeps the Pods that it has and makes none of a changed template, however healthy both are. Clients go on \
            reaching what was there before; if nothing was, they reach nobody.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl rollout status deployment web\n\
           kubectl rollout pause deployment web\n\
           kubectl set env deployment web COLOR=blue",
    mend: "Resume it.",
    needs: &[Kind::Deployment, Kind::ReplicaSet],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    subject.workloads().into_iter().filter(|w| waits(w)).map(|w| finding(subject, w)).collect()
}

/// Whether a change of it waits until it is resumed.
pub(super) fn waits(workload: &Workload) -> bool {
    let wanted = workload.replicas();
    workload.spec.paused && wanted > 0 && workload.status.updated_replicas < wanted
}

fn finding(subject: &Subject<'_>, deployment: &Workload) -> Finding {
    let name = &deployment.metadata.name;
    let (there, updated) = (deployment.status.replicas, deployment.status.updated_replicas);
    let service = subject.name();
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (severity, message) = match there {
        0 => {
            let message = format!(
                "Service {service} has no Pods, since Deployment {name} is paused and has made none."
            );
            (subject.severity(), message)
        }
        _ => {
            let message = format!(
                "Deployment {name} behind Service {service} is paused, so its change waits: {updated} of {} {} its present template.",
                count(number(there), "Pod"),
                has(number(updated)),
            );
            (Severity::Hint, message)
        }
    };
    CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("Deployment {name}, paused: true, replicas: {there}, updatedReplicas: {updated}"))
        .fix(subject.kubectl(&format!("rollout resume deployment {name}")))
}
