//! Pods that run and whose readiness probe does not succeed.

use super::{affected, readiness_probe_port};
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::kind::Kind;
use crate::objects::{Container, Pod};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{pods as names, quoted};

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
    let groups = affected::by(subject, |state, pod| match state {
        State::NotReady(status) if !readiness_probe_port::is_why(subject, pod, &status.name) => {
            Some((status.name.as_str(), probe(pod, &status.name)))
        }
        _ => None,
    });
    groups.into_iter().map(|((container, probe), pods)| finding(subject, container, probe, &pods)).collect()
}

fn finding(subject: &Subject<'_>, container: &str, probe: Option<String>, pods: &[&Pod]) -> Finding {
    // Any of them may have been asked last: the first one of which something is said speaks for all.
    let said = pods.iter().find_map(|pod| Some((*pod, said(subject, pod)?)));
    let first = said.as_ref().map_or(pods[0], |(pod, _)| pod);
    let what = match (&probe, &said) {
        (Some(probe), Some((_, said))) => {
            format!("the readiness probe of container {container} ({probe}) says: {said}")
        }
        (Some(probe), None) => {
            format!("the readiness probe of container {container} ({probe}) does not succeed")
        }
        (None, _) => format!("container {container} is not ready"),
    };
    let some = affected::some(subject, pods, "is not ready", "are not ready");
    let fix = match &said {
        Some((_, said)) if said.contains("statuscode: 404") => fix::describe(first),
        _ => subject.kubectl(&format!("logs {} -c {container} --tail=20", first.metadata.name)),
    };
    CAUSE
        .finding(subject.severity(), subject.object(), format!("{some}: {what}."))
        .evidence(names(pods))
        .fix(fix)
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
