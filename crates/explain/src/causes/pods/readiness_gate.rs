//! Readiness gates that nobody sets.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::objects::{Pod, condition};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{list, pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "readiness-gate",
    title: "A readiness gate is not set",
    about: "A Pod with readiness gates is ready only when another program, a load-balancer controller for instance, has set those \
            conditions of its status to True. Where that program is missing, the Pod waits for ever: its containers are ready, it is not.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"readinessGates\":[{\"conditionType\":\"example.com/registered\"}]}}}}'\n\
           kubectl scale deployment web --replicas=0\n\
           kubectl scale deployment web --replicas=1\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Run what sets the condition, or take the gate out of the Pod template.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::Gate(gate) => Some((gate, said(pod, gate))),
        _ => None,
    });
    let finding = |((gate, said), pods): ((&str, String), Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "waits", "wait");
        CAUSE
            .finding(
                subject.severity(),
                subject.object(),
                format!("{some} for readiness gate {gate}: {said}."),
            )
            .evidence(format!("{}, all containers ready", names(&pods)))
            .fix(set(subject, &pods, gate))
    };
    groups.into_iter().map(finding).collect()
}

fn said(pod: &Pod, gate: &str) -> String {
    match condition(&pod.status.conditions, gate) {
        None => "nobody has set that condition".into(),
        Some(set) if set.message.is_empty() => format!("it is {}", set.status),
        Some(set) => format!("it is {}, {}", set.status, quoted(&set.message)),
    }
}

/// The command that sets the condition by hand.
fn set(subject: &Subject<'_>, pods: &[&Pod], gate: &str) -> String {
    let patch = serde_json::json!({"status": {"conditions": [{"type": gate, "status": "True"}]}});
    let patch = |pod: &str| subject.kubectl(&format!("patch pod {pod} --subresource=status -p '{patch}'"));
    let names: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
    match names.as_slice() {
        [one] => patch(one),
        _ if names.len() <= 3 => format!("for pod in {}; do {}; done", names.join(" "), patch("$pod")),
        _ => subject.kubectl(&format!("describe pod {}", list(&names[..1]))),
    }
}
