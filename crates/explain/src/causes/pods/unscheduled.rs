//! Pods for which there is no node.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::objects::Pod;
use crate::state::State;
use crate::subject::Subject;
use crate::words::{pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "unscheduled",
    title: "No node takes a Pod",
    about: "The scheduler looks for a node with room for what a Pod requests, with the labels that it asks for, and without a taint that \
            it does not tolerate. Until there is one the Pod is Pending and gets no traffic.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"disk\":\"ssd\"}}}}}'\n\
           kubectl scale deployment web --replicas=0\n\
           kubectl scale deployment web --replicas=2\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Make room (smaller requests, fewer Pods, one more node), uncordon a node, give one the label, or tolerate the taint.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, _| match state {
        State::Unscheduled(why) => Some(why),
        _ => None,
    });
    let finding = |(why, pods): (&str, Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "has no node", "have no node");
        let said = if why.is_empty() { "the scheduler does not say why".into() } else { quoted(why) };
        CAUSE
            .finding(subject.severity(), subject.object(), format!("{some}: {said}."))
            .evidence(format!("{}, condition PodScheduled is False", names(&pods)))
            .fix(mend(subject, pods[0], why))
    };
    groups.into_iter().map(finding).collect()
}

/// What to type for what the scheduler says.
fn mend(subject: &Subject<'_>, pod: &Pod, why: &str) -> String {
    let nodes = &subject.view.snapshot.nodes;
    let cordoned = nodes.iter().filter(|node| node.spec.unschedulable);
    let cordoned: Vec<&str> = cordoned.map(|node| node.metadata.name.as_str()).collect();
    if why.contains("unschedulable") && !cordoned.is_empty() {
        return format!("kubectl uncordon {}", cordoned.join(" "));
    }
    if why.contains("PersistentVolumeClaim") || why.contains("persistentvolumeclaim") {
        return subject.kubectl("get persistentvolumeclaims");
    }
    if why.contains("taint") {
        return "kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints".into();
    }
    if why.contains("affinity") || why.contains("selector") {
        return "kubectl get nodes --show-labels".into();
    }
    if why.contains("Insufficient") {
        return "kubectl describe nodes | grep -A 8 'Allocated resources'".into();
    }
    fix::describe(pod)
}
