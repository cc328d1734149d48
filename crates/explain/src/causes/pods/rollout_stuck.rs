//! Workloads that cannot make the Pods that are wanted, or get no further with them.

use super::deployment_paused;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::kind::Kind;
use crate::objects::{Workload, condition};
use crate::state::{GRACE, State};
use crate::subject::Subject;
use crate::words::{count, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "rollout-stuck",
    title: "Pods that are wanted cannot be made",
    about: "A Deployment asks for Pods, and the API server refuses them: a quota is used up, a ServiceAccount is missing, a policy \
            forbids them. Nothing of that is seen on a Pod, since there is none.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=0\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl set serviceaccount deployment web nobody\n\
           kubectl scale deployment web --replicas=2",
    mend: "Mend what the message names: raise the quota, make the ServiceAccount, satisfy the policy.",
    needs: &[Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet, Kind::DaemonSet, Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let troubled = |state: State<'_>| {
        !matches!(state, State::Ready | State::Starting | State::Terminating | State::Finished)
    };
    let told = !subject.pods_that(troubled).is_empty();
    let stuck = subject.workloads().into_iter().filter(|w| !deployment_paused::waits(w));
    let stuck = stuck.filter_map(|workload| Some((workload, why(subject, workload, told)?)));
    stuck.map(|(workload, why)| finding(subject, workload, &why)).collect()
}

/// Why Pods are missing, or why it gets no further with those that there are.
fn why(subject: &Subject<'_>, workload: &Workload, told: bool) -> Option<String> {
    let conditions = &workload.status.conditions;
    let wanted = workload.replicas();
    let missing = workload.kind != "DaemonSet" && workload.status.replicas < wanted;
    let refused = condition(conditions, "ReplicaFailure").filter(|failure| failure.status == "True");
    if let Some(refused) = refused.filter(|_| missing) {
        return Some(quoted(&refused.message));
    }
    if let Some(event) = event(subject, workload).filter(|_| missing) {
        return Some(quoted(&event.message));
    }
    let nobody = subject.live().is_empty() && subject.ready == 0;
    if workload.kind == "DaemonSet" {
        return (nobody && is_old(subject, workload)).then(|| "it finds no node that it may run on".into());
    }
    if missing && nobody && wanted > 0 && is_old(subject, workload) && subject.pods.is_empty() {
        return Some("the controller has made none, and does not say why".into());
    }
    let late = condition(conditions, "Progressing")
        .filter(|progress| progress.status == "False" && progress.reason == "ProgressDeadlineExceeded");
    late.filter(|_| !told).map(|late| quoted(&late.message))
}

/// What a controller without conditions says of Pods that it could not make.
fn event<'a>(subject: &Subject<'a>, workload: &Workload) -> Option<&'a crate::objects::Event> {
    subject.view.last_event(&workload.kind, subject.namespace(), &workload.metadata.name, &["FailedCreate"])
}

fn is_old(subject: &Subject<'_>, workload: &Workload) -> bool {
    let changed = workload.metadata.changed_at();
    changed.is_some_and(|changed| subject.view.snapshot.now.duration_since(changed) >= GRACE)
}

fn finding(subject: &Subject<'_>, workload: &Workload, why: &str) -> Finding {
    let (kind, name) = (&workload.kind, &workload.metadata.name);
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (there, wanted) = (workload.status.replicas, count(number(workload.replicas()), "Pod"));
    let got = match kind.as_str() {
        "DaemonSet" => "no Pods".to_owned(),
        _ if workload.status.replicas < workload.replicas() => format!("{there} of {wanted}"),
        _ => format!("{} of {wanted} of its present template", workload.status.updated_replicas),
    };
    let message = format!("{kind} {name} behind Service {} has {got}: {why}.", subject.name());
    let fix = match () {
        () if why.contains("quota") => subject.kubectl("describe resourcequotas"),
        () if why.contains("serviceaccount") || why.contains("service account") => {
            subject.kubectl("get serviceaccounts")
        }
        () if kind == "DaemonSet" => "kubectl get nodes --show-labels".into(),
        () => subject.kubectl(&format!("describe {} {name}", kind.to_lowercase())),
    };
    CAUSE
        .finding(subject.severity(), subject.object(), message)
        .evidence(format!("{kind} {name}, replicas: {there}, wanted: {}", workload.replicas()))
        .fix(fix)
}
