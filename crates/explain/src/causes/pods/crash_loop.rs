//! Containers that end again and again.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::kind::Kind;
use crate::objects::{ContainerStatus, Pod};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "crash-loop",
    title: "A container ends again and again",
    about: "A container that ends is started again, after 10 seconds at first and after 5 minutes at last. In between its Pod is not \
            ready and gets no traffic. Its last words are in the log of the container before (`--previous`).",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080 -- /hello --no-such-option\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Read what the container said before it ended, and mend that: an option, a file, a variable, another Service that it wants. If \
           a liveness or startup probe ends it, mend the probe.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::CrashLoop(status) => Some((status.name.as_str(), why(subject, pod, status))),
        _ => None,
    });
    let finding = |((container, why), pods): ((&str, String), Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "keeps crashing", "keep crashing");
        let first = &pods[0].metadata.name;
        CAUSE
            .finding(subject.severity(), subject.object(), format!("{some}: container {container} {why}."))
            .evidence(format!("{}, {}", names(&pods), restarts(&pods, container)))
            .fix(subject.kubectl(&format!("logs {first} -c {container} --previous --tail=20")))
    };
    groups.into_iter().map(finding).collect()
}

/// "ended with exit code 1 (Error)", or which probe has it killed.
fn why(subject: &Subject<'_>, pod: &Pod, status: &ContainerStatus) -> String {
    let probe = subject.view.last_event("Pod", subject.namespace(), &pod.metadata.name, &["Unhealthy"]);
    let probe = probe.and_then(|event| {
        let (probe, said) = event.message.split_once(" probe failed: ")?;
        matches!(probe, "Liveness" | "Startup").then(|| (probe.to_lowercase(), quoted(said)))
    });
    let ended = status.state.terminated.as_ref().or(status.last_state.terminated.as_ref());
    match (probe, ended) {
        // 137 and 143 are the signals KILL and TERM: what the kubelet sends.
        (Some((probe, said)), Some(ended)) if matches!(ended.exit_code, 137 | 143) => {
            format!("is killed since its {probe} probe says: {said}")
        }
        (_, Some(ended)) if ended.reason.is_empty() => format!("ended with exit code {}", ended.exit_code),
        (_, Some(ended)) => format!("ended with exit code {} ({})", ended.exit_code, ended.reason),
        _ => "ends soon after each start".into(),
    }
}

/// "started again 5 times"
fn restarts(pods: &[&Pod], container: &str) -> String {
    let statuses = pods
        .iter()
        .flat_map(|pod| pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses));
    let most = statuses.filter(|status| status.name == container).map(|status| status.restart_count).max();
    format!("started again up to {} times", most.unwrap_or_default())
}
