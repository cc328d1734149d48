//! A target port by a name that some Pods do not have.

use super::arrival::{Arrival, knock, pods, show};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Pod, ServicePort, TargetPort};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{count, has, pods as names};
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "named-port-partly-missing",
    title: "Some Pods do not have the port that the target port names",
    about: "A `targetPort` that is a name may be another number in every Pod: that is what names are for. But a Pod without a port of that \
            name gets nothing of the Service's port, though it is ready. While one Deployment replaces its Pods, that is in order.",
    make: "cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: web-1, labels: {app: web}}\n\
           spec: {containers: [{name: hello, image: \"localhost/hello:4.1\", ports: [{name: http, containerPort: 8080}]}]}\n\
           ---\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: web-2, labels: {app: web}}\n\
           spec: {containers: [{name: hello, image: \"localhost/hello:4.1\", ports: [{name: web, containerPort: 8080}]}]}\n\
           EOF\n\
           kubectl create service clusterip web --tcp=80:http\n\
           kubectl wait --for=condition=Ready pod/web-1 pod/web-2",
    mend: "Name the port in the Pods that lack the name.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    subject.service.spec.ports.iter().filter_map(|port| finding(subject, port)).collect()
}

fn finding(subject: &Subject<'_>, port: &ServicePort) -> Option<Finding> {
    let TargetPort::Name(name) = port.target() else { return None };
    let nameless = pods(subject, port, |arrival| (arrival == Arrival::NoName).then_some(()));
    let live = subject.live();
    if nameless.is_empty() || nameless.len() == live.len() || is_one_rollout(subject, &live) {
        return None;
    }
    let is_ready = |pod: &&Pod| matches!(subject.state(pod), State::Ready);
    let without: Vec<&Pod> = nameless.into_iter().map(|(pod, ())| pod).filter(is_ready).collect();
    if without.is_empty() {
        return None;
    }
    let message = format!(
        "{} of {} behind Service {} {} no port named {name} and get nothing of its {}.",
        without.len(),
        count(subject.ready, "ready Pod"),
        subject.name(),
        has(without.len()),
        knock(port),
    );
    let message =
        if without.len() == 1 { message.replace(" and get nothing", " and gets nothing") } else { message };
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("without it: {}", names(&without)))
        .fix(show(subject));
    Some(finding)
}

/// Whether one workload made them all: then the templates differ since a rollout is on its way.
fn is_one_rollout(subject: &Subject<'_>, live: &[&Pod]) -> bool {
    let makers: BTreeSet<_> = live.iter().map(|pod| subject.view.maker(pod)).collect();
    makers.len() == 1 && !makers.contains(&None)
}
