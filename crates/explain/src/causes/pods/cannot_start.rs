//! Containers that cannot be made: what they refer to is not there.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::kind::Kind;
use crate::objects::Pod;
use crate::state::{GRACE, State};
use crate::subject::Subject;
use crate::words::{pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "cannot-start",
    title: "A container cannot be made",
    about: "A container starts once everything is there that its Pod refers to: ConfigMaps, Secrets, keys in them, volumes, its program. \
            The kubelet says what is missing, and tries again.",
    make: "kubectl apply -f - <<'EOF'\n\
           apiVersion: apps/v1\n\
           kind: Deployment\n\
           metadata: {name: web}\n\
           spec:\n\
           \x20 selector: {matchLabels: {app: web}}\n\
           \x20 template:\n\
           \x20   metadata: {labels: {app: web}}\n\
           \x20   spec:\n\
           \x20     containers:\n\
           \x20     - {name: hello, image: localhost/hello:4.1, envFrom: [{configMapRef: {name: settings}}]}\n\
           EOF\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Make the object that is missing, or correct the reference to it.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

/// What the kubelet says while it cannot make a Pod's sandbox or mount its volumes: its containers say nothing but ContainerCreating.
const EVENTS: &[&str] = &["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::CannotStart(status) => {
            let said = status.state.waiting.as_ref().map(|waiting| quoted(&waiting.message));
            Some(format!("{} (container {})", said.unwrap_or_default(), status.name))
        }
        State::Starting => stuck(subject, pod),
        _ => None,
    });
    let finding = |(why, pods): (String, Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "cannot start", "cannot start");
        CAUSE
            .finding(subject.severity(), subject.object(), format!("{some}: {why}."))
            .evidence(names(&pods))
            .fix(mend(subject, pods[0], &why))
    };
    groups.into_iter().map(finding).collect()
}

/// Why a Pod that should have started long ago has not.
fn stuck(subject: &Subject<'_>, pod: &Pod) -> Option<String> {
    let age = subject.view.snapshot.now.duration_since(pod.metadata.creation_timestamp?);
    let creating = pod.status.container_statuses.iter().any(|status| status.state.waiting.is_some());
    let event = subject.view.last_event("Pod", subject.namespace(), &pod.metadata.name, EVENTS)?;
    (age >= GRACE && creating).then(|| quoted(&event.message))
}

fn mend(subject: &Subject<'_>, pod: &Pod, why: &str) -> String {
    let why = why.to_lowercase();
    let missing = why.contains("not found") || why.contains("find key") || why.contains("non-existent");
    match () {
        () if missing && why.contains("configmap") => subject.kubectl("get configmaps"),
        () if missing && why.contains("secret") => subject.kubectl("get secrets"),
        () if missing && why.contains("persistentvolumeclaim") => {
            subject.kubectl("get persistentvolumeclaims")
        }
        () => fix::describe(pod),
    }
}
