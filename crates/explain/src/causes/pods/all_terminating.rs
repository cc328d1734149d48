//! Services whose last Pods are going.

use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::kind::Kind;
use crate::objects::Pod;
use crate::state::{GRACE, State};
use crate::subject::Subject;
use crate::words::{count, list, pods as names};
use crate::{finding::Severity, fix};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "all-terminating",
    title: "All Pods are being deleted, and no new one comes",
    about: "A Pod that is being deleted gets no new connections, or only as a last resort. Where all are, and nothing makes new ones, or \
            the old ones hold up the new ones since they do not end, clients soon find nobody.",
    make: "kubectl apply -f - <<'EOF'\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: web, labels: {app: web}}\n\
           spec:\n\
           \x20 terminationGracePeriodSeconds: 60\n\
           \x20 containers:\n\
           \x20 - {name: hello, image: localhost/hello:4.1, ports: [{containerPort: 8080}], lifecycle: {preStop: {sleep: {seconds: 60}}}}\n\
           EOF\n\
           kubectl expose pod web --port=80 --target-port=8080\n\
           kubectl wait --for=condition=Ready pod/web\n\
           kubectl delete pod web --wait=false",
    mend: "Make new Pods: apply the Deployment again. If the old ones do not end, look which finalizer or node holds them.",
    needs: &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let going = subject.pods_that(|state| matches!(state, State::Terminating));
    if going.is_empty() || !subject.live().is_empty() || going.iter().all(|pod| subject.view.is_lost(pod)) {
        return Vec::new();
    }
    let workloads = subject.workloads();
    let stuck: Vec<&Pod> = going.iter().copied().filter(|pod| is_overdue(subject, pod)).collect();
    let makes = workloads.iter().any(|w| w.replicas() > 0 && w.metadata.deletion_timestamp.is_none());
    if (makes && stuck.is_empty()) || (!makes && !workloads.is_empty()) {
        // Others come at once, or none are wanted: that is another cause.
        return Vec::new();
    }
    let all = format!("All {} behind Service {}", count(going.len(), "Pod"), subject.name());
    let all = if going.len() == 1 { format!("The only Pod behind Service {}", subject.name()) } else { all };
    let is = crate::words::is(going.len());
    let message = match stuck.first() {
        Some(pod) => format!("{all} {is} being deleted and should have ended long ago: {}.", holder(pod)),
        None => format!("{all} {is} being deleted, and nothing makes new ones."),
    };
    let fix = match stuck.first() {
        Some(pod) => fix::describe(pod),
        None => subject.kubectl("get deployments,statefulsets,pods --show-labels"),
    };
    let finding = CAUSE.finding(Severity::Error, subject.object(), message);
    vec![finding.evidence(format!("deletionTimestamp of {}", names(&going))).fix(fix)]
}

/// Whether its time to end has passed: `deletionTimestamp` has the grace period in it.
fn is_overdue(subject: &Subject<'_>, pod: &Pod) -> bool {
    let until = pod.metadata.deletion_timestamp;
    until.is_some_and(|until| subject.view.snapshot.now.duration_since(until) >= GRACE)
}

fn holder(pod: &Pod) -> String {
    let finalizers: Vec<&str> = pod.metadata.finalizers.iter().map(String::as_str).collect();
    let name = &pod.metadata.name;
    match finalizers.as_slice() {
        [] => format!("its node does not say that Pod {name} has ended"),
        held => format!("Pod {name} waits for finalizer {}", list(held)),
    }
}
