//! Pods that run and whose readiness probe does not succeed.

use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::kind::Kind;
use crate::objects::{Container, Pod};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{count, pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "not-ready",
    title: "Pods run, but their readiness probe does not succeed",
    about: "A Pod gets traffic only while its readiness probe succeeds. The kubelet's last failure says what the probe got.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"hello\",\"readinessProbe\":{\"httpGet\":{\"path\":\"/wrong\",\"port\":8080}}}]}}}}'",
    mend: "Mend the application, or the probe: path, port, or a longer initialDelaySeconds.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let pods = subject.pods_that(|state| matches!(state, State::NotReady(_)));
    let Some(first) = pods.first() else { return Vec::new() };
    let State::NotReady(status) = subject.state(first) else { return Vec::new() };
    let probe = probe(first, &status.name);
    let said = said(subject, first);
    let what = match (&probe, &said) {
        (Some(probe), Some(said)) => {
            format!("the readiness probe of container {} ({probe}) says: {said}", status.name)
        }
        (Some(probe), None) => {
            format!("the readiness probe of container {} ({probe}) does not succeed", status.name)
        }
        (None, _) => format!("container {} is not ready", status.name),
    };
    let message = format!(
        "{} of {} behind Service {} not ready: {what}.",
        pods.len(),
        count(subject.live().len(), "Pod"),
        subject.name()
    );
    let finding = CAUSE
        .finding(subject.severity(), subject.object(), message)
        .evidence(names(&pods))
        .fix(subject.kubectl(&format!("logs {} -c {} --tail=20", first.metadata.name, status.name)));
    vec![finding]
}

/// What its readiness probe does.
fn probe(pod: &Pod, container: &str) -> Option<String> {
    let container: &Container = pod.spec.containers.iter().find(|c| c.name == container)?;
    container.readiness_probe.as_ref().map(crate::objects::Probe::words)
}

/// What the kubelet said last about the probe.
fn said(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    let event = subject.view.last_event("Pod", subject.namespace(), &pod.metadata.name, &["Unhealthy"])?;
    let message = event.message.strip_prefix("Readiness probe failed: ")?;
    Some(quoted(message))
}
