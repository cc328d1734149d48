//! What is known of a Pod when the agent starts: from the runtime's records and the Pod's own status. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::Pod;

use super::context::uid;
use super::state::{ContainerView, PodState, Sandbox, containers};
use crate::runtime::{ContainerId, ContainerState, ContainerStatus, SandboxStatus};

/// The state to begin with. `networked`: the Pod's network exists (or it uses the node's).
pub(crate) fn recover(
    pod: &Pod,
    sandbox: Option<&SandboxStatus>,
    networked: bool,
    now: Timestamp,
) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let terminal = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let alive = sandbox.is_some_and(|s| s.running) && networked;
    let mut state = PodState {
        sandbox: match (alive, terminal && sandbox.is_none()) {
            (true, _) => Sandbox::Ready,
            (_, true) => Sandbox::Removed,
            _ => Sandbox::Absent,
        },
        addresses: status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect(),
        start_time: status.start_time.as_ref().map(|t| t.0).or(Some(now)),
        ..PodState::default()
    };
    let told = || status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    for (_, spec) in containers(pod) {
        let records = sandbox.map(|s| s.containers.as_slice()).unwrap_or_default();
        let records: Vec<_> = records.iter().filter(|r| r.id.name == spec.name).collect();
        let api = told().find(|s| s.name == spec.name);
        let mut view = match records.as_slice() {
            [.., previous, current] => seen(current, Some(previous)),
            [current] => seen(current, None),
            [] => api.map(|s| from_api(pod, s)).unwrap_or_default(),
        };
        if let Some(api) = api {
            keep_opinion(&mut view, api);
        }
        view.stale = !alive && !terminal && view.current.is_some();
        state.containers.insert(spec.name.clone(), view);
    }
    state
}

fn seen(current: &ContainerStatus, previous: Option<&ContainerStatus>) -> ContainerView {
    ContainerView {
        attempt: Some(current.id.attempt),
        current: Some(current.clone()),
        previous: previous.cloned(),
        ..Default::default()
    }
}

/// An attempt that still runs stays as ready as it was; probes will say otherwise if need be.
fn keep_opinion(view: &mut ContainerView, api: &core::ContainerStatus) {
    let Some(current) = view.current.as_ref() else { return };
    let same = api.container_id.as_deref().is_some_and(|id| id.ends_with(&current.container_id));
    if same && view.running() {
        view.started = api.started == Some(true);
        view.ready = api.ready;
    }
    // The records may be younger than the count: a container directory was lost.
    let told = u32::try_from(api.restart_count).ok().filter(|_| api.container_id.is_some());
    view.attempt = view.attempt.max(told);
}

/// A container of which only the Pod's status tells.
fn from_api(pod: &Pod, api: &core::ContainerStatus) -> ContainerView {
    let Some(container_id) = api.container_id.as_deref() else { return ContainerView::default() };
    let attempt = u32::try_from(api.restart_count).unwrap_or(0);
    let state = api.state.as_ref();
    let last = api.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    let ended = state.and_then(|s| s.terminated.as_ref()).or(last);
    let running = state.and_then(|s| s.running.as_ref());
    // One that ran has ended unseen.
    let lost = running.is_some();
    let current = ContainerStatus {
        id: ContainerId { pod_uid: uid(pod).to_owned(), name: api.name.clone(), attempt },
        container_id: container_id.trim_start_matches("sealane://").to_owned(),
        state: ContainerState::Exited,
        image: api.image.clone(),
        image_id: api.image_id.clone(),
        pid: 0,
        started_at: running
            .and_then(|r| r.started_at.as_ref())
            .or_else(|| ended.and_then(|t| t.started_at.as_ref()))
            .map(|t| t.0),
        finished_at: ended.filter(|_| !lost).and_then(|t| t.finished_at.as_ref()).map(|t| t.0),
        exit_code: ended.filter(|_| !lost).map_or(137, |t| t.exit_code),
        signal: 0,
        reason: if lost {
            "ContainerStatusUnknown".to_owned()
        } else {
            ended.and_then(|t| t.reason.clone()).unwrap_or_default()
        },
        message: if lost {
            "The container could not be located when the pod was terminated".to_owned()
        } else {
            ended.and_then(|t| t.message.clone()).unwrap_or_default()
        },
        log_path: std::path::PathBuf::new(),
    };
    ContainerView { attempt: Some(attempt), current: Some(current), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{at, pod, running};
    use crate::runtime::SandboxConfig;
    use serde_json::{Value, json};

    fn sandbox(running_now: bool, attempts: &[(u32, ContainerState)]) -> SandboxStatus {
        let record = |(attempt, state): &(u32, ContainerState)| {
            let mut record = running(*attempt).current.expect("a record");
            record.state = *state;
            record
        };
        SandboxStatus {
            config: SandboxConfig::default(),
            running: running_now,
            containers: attempts.iter().map(record).collect(),
        }
    }

    fn told(status: Value) -> Pod {
        let mut pod = pod(&["a"], json!({}));
        pod.status = Some(serde_json::from_value(status).unwrap());
        pod
    }

    #[test]
    fn a_new_pod_begins_with_nothing() {
        let state = recover(&pod(&["a"], json!({})), None, false, at(0));
        assert_eq!((state.sandbox, state.start_time), (Sandbox::Absent, Some(at(0))));
        assert!(state.containers["a"].attempt.is_none());
    }

    #[test]
    fn a_running_pod_is_taken_over_as_it_is() {
        let id = format!("sealane://{:064}", 3);
        let pod = told(
            json!({"phase": "Running", "startTime": "1970-01-12T13:46:40Z", "podIPs": [{"ip": "10.0.0.2"}],
            "containerStatuses": [{"name": "a", "image": "i", "imageID": "", "containerID": id, "ready": true,
                "started": true, "restartCount": 3, "state": {"running": {}}}]}),
        );
        let records = sandbox(true, &[(2, ContainerState::Exited), (3, ContainerState::Running)]);
        let state = recover(&pod, Some(&records), true, at(99));
        let view = &state.containers["a"];
        assert_eq!((&state.sandbox, state.start_time), (&Sandbox::Ready, Some(at(0))));
        assert!(view.running() && view.ready && view.started && !view.stale);
        assert_eq!((view.attempt, view.previous.as_ref().map(|p| p.id.attempt)), (Some(3), Some(2)));
    }

    #[test]
    fn after_a_machine_restart_everything_is_stale() {
        let pod = told(json!({"phase": "Running",
            "containerStatuses": [{"name": "a", "image": "i", "imageID": "", "containerID": "sealane://x",
                "ready": true, "restartCount": 1, "state": {"running": {}}}]}));
        for records in [None, Some(sandbox(false, &[(1, ContainerState::Exited)]))] {
            let state = recover(&pod, records.as_ref(), false, at(9));
            let view = &state.containers["a"];
            assert_eq!(state.sandbox, Sandbox::Absent);
            assert!(view.stale && !view.running() && !view.ready);
            assert_eq!(view.attempt, Some(1));
        }
        let lost = recover(&pod, None, false, at(9));
        assert_eq!(lost.containers["a"].current.as_ref().unwrap().reason, "ContainerStatusUnknown");
    }

    #[test]
    fn a_pod_that_ended_stays_ended() {
        let pod = told(json!({"phase": "Succeeded",
            "containerStatuses": [{"name": "a", "image": "i", "imageID": "", "containerID": "sealane://x",
                "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}));
        let state = recover(&pod, None, false, at(9));
        assert_eq!(state.sandbox, Sandbox::Removed);
        assert!(state.containers["a"].succeeded());
    }
}
