//! The status of one container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::{
    Container, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, Pod,
};

use super::time;
use crate::agent::state::{ContainerView, PodState, Role};
use crate::runtime::ContainerStatus;

pub(super) fn status(
    pod: &Pod,
    role: Role,
    spec: &Container,
    state: &PodState,
    now: Timestamp,
) -> core::ContainerStatus {
    let unknown = ContainerView::default();
    let view = state.containers.get(&spec.name).unwrap_or(&unknown);
    let running = view.running();
    let (current, last) = states(pod, view, now);
    core::ContainerStatus {
        name: spec.name.clone(),
        state: Some(current),
        last_state: Some(
            last.map(|t| core::ContainerState { terminated: Some(t), ..Default::default() })
                .unwrap_or_default(),
        ),
        ready: match role {
            Role::Init => view.succeeded(),
            Role::Sidecar | Role::Main => running && view.started && view.ready,
        },
        started: Some(running && view.started),
        restart_count: view.attempt.and_then(|a| i32::try_from(a).ok()).unwrap_or(0),
        image: view
            .current
            .as_ref()
            .map_or_else(|| spec.image.clone().unwrap_or_default(), |c| c.image.clone()),
        image_id: view.current.as_ref().map(|c| c.image_id.clone()).unwrap_or_default(),
        container_id: view.current.as_ref().map(container_id),
        resources: spec.resources.clone().filter(|r| r.limits.is_some() || r.requests.is_some()),
        ..Default::default()
    }
}

fn container_id(of: &ContainerStatus) -> String {
    format!("sealane://{}", of.container_id)
}

/// The present state and how the attempt before it ended.
fn states(
    pod: &Pod,
    view: &ContainerView,
    now: Timestamp,
) -> (core::ContainerState, Option<ContainerStateTerminated>) {
    let previous = view.previous.as_ref().map(terminated);
    let Some(current) = &view.current else {
        let (reason, message) = match &view.waiting {
            Some(w) => (w.reason.clone(), Some(w.message.clone())),
            None => (not_yet(pod).to_owned(), None),
        };
        return (waiting(reason, message), previous);
    };
    if view.running() {
        let started_at = current.started_at.map(time);
        let state = core::ContainerState {
            running: Some(ContainerStateRunning { started_at }),
            ..Default::default()
        };
        return (state, previous);
    }
    let ended = terminated(current);
    if let Some(w) = &view.waiting {
        return (waiting(w.reason.clone(), Some(w.message.clone())), Some(ended));
    }
    if let Some(message) = crash_loop(pod, view, current, now) {
        return (waiting("CrashLoopBackOff".to_owned(), Some(message)), Some(ended));
    }
    (core::ContainerState { terminated: Some(ended), ..Default::default() }, previous)
}

/// The message of CrashLoopBackOff, while the container waits for its restart.
fn crash_loop(pod: &Pod, view: &ContainerView, exit: &ContainerStatus, now: Timestamp) -> Option<String> {
    view.backoff_told.filter(|told| Some(*told) == exit.finished_at)?;
    view.restarts.until(exit.finished_at?).filter(|until| *until > now)?;
    Some(back_off_text(pod, &exit.id.name, view.restarts.delay_s()))
}

/// `back-off 10s restarting failed container=web pod=web-1_shop(UID)`.
fn back_off_text(pod: &Pod, container: &str, delay_s: i64) -> String {
    let delay = match (delay_s / 60, delay_s % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    };
    format!("back-off {delay} restarting failed container={container} pod={}", pod_text(pod))
}

/// `web-1_shop(UID)`.
pub(crate) fn pod_text(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}

/// Why a container that was never started does not run.
pub(crate) fn not_yet(pod: &Pod) -> &'static str {
    let has_init =
        pod.spec.as_ref().is_some_and(|s| s.init_containers.as_ref().is_some_and(|i| !i.is_empty()));
    if has_init { "PodInitializing" } else { "ContainerCreating" }
}

fn waiting(reason: String, message: Option<String>) -> core::ContainerState {
    core::ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason),
            message: message.filter(|m| !m.is_empty()),
        }),
        ..Default::default()
    }
}

fn terminated(of: &ContainerStatus) -> ContainerStateTerminated {
    let by_default = if of.exit_code == 0 { "Completed" } else { "Error" };
    ContainerStateTerminated {
        container_id: Some(container_id(of)),
        exit_code: of.exit_code,
        started_at: of.started_at.map(time),
        finished_at: of.finished_at.map(time),
        reason: Some(if of.reason.is_empty() { by_default.to_owned() } else { of.reason.clone() }),
        message: Some(of.message.clone()).filter(|m| !m.is_empty()),
        signal: None,
    }
}
