//! Why a Pod does or does not serve: one answer a Pod, so that each trouble is told by one cause only.

use crate::objects::{ContainerStatus, Pod, condition};
use jiff::{SignedDuration, Timestamp};

/// For so long a Pod that is not ready yet is merely starting.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_secs(20);

/// Why a Pod does or does not serve.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// It is ready.
    Ready,
    /// Its end was asked for.
    Terminating,
    /// All of its containers have ended for good.
    Finished,
    /// The scheduler has found no node for it, and says why.
    Unscheduled(&'a str),
    /// An image cannot be had.
    ImagePull(&'a ContainerStatus),
    /// A container was killed since it took more memory than it may.
    OomKilled(&'a ContainerStatus),
    /// A container ends again and again.
    CrashLoop(&'a ContainerStatus),
    /// A container cannot be made: `CreateContainerConfigError` and the like.
    CannotStart(&'a ContainerStatus),
    /// The containers are ready; this readiness gate is not.
    Gate(&'a str),
    /// A container runs, and its readiness probe does not succeed.
    NotReady(&'a ContainerStatus),
    /// It is on its way.
    Starting,
    /// Its node does not answer for it.
    NodeLost,
}

/// The state of a Pod at a moment.
pub(crate) fn state(pod: &Pod, now: Timestamp) -> State<'_> {
    if pod.is_terminating() {
        return State::Terminating;
    }
    if pod.is_finished() {
        return State::Finished;
    }
    if pod.is_ready() {
        return State::Ready;
    }
    let conditions = &pod.status.conditions;
    if pod.spec.node_name.is_empty() {
        let scheduled = condition(conditions, "PodScheduled").filter(|scheduled| scheduled.status == "False");
        return scheduled.map_or(State::Starting, |scheduled| State::Unscheduled(&scheduled.message));
    }
    let ready = condition(conditions, "Ready");
    if pod.status.phase == "Unknown" || ready.is_some_and(|r| r.reason == "NodeStatusUnknown") {
        return State::NodeLost;
    }
    if let Some(failed) = containers(pod).find_map(failure) {
        return failed;
    }
    gate(pod).or_else(|| not_ready(pod, now)).unwrap_or(State::Starting)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses)
}

/// What has gone wrong with a container that does not run.
fn failure(status: &ContainerStatus) -> Option<State<'_>> {
    let waiting = status.state.waiting.as_ref();
    let oom =
        |ended: &Option<crate::objects::Terminated>| ended.as_ref().is_some_and(|e| e.reason == "OOMKilled");
    if oom(&status.state.terminated) || (oom(&status.last_state.terminated) && !status.ready) {
        return Some(State::OomKilled(status));
    }
    match waiting?.reason.as_str() {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => Some(State::ImagePull(status)),
        "CrashLoopBackOff" => Some(State::CrashLoop(status)),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(State::CannotStart(status))
        }
        _ => None,
    }
}

/// A readiness gate that is not set, where all else is ready.
fn gate(pod: &Pod) -> Option<State<'_>> {
    let is_true = |kind: &str| condition(&pod.status.conditions, kind).is_some_and(|c| c.status == "True");
    let gates = pod.spec.readiness_gates.iter().map(|gate| gate.condition_type.as_str());
    is_true("ContainersReady")
        .then(|| gates.into_iter().find(|gate| !is_true(gate)).map(State::Gate))
        .flatten()
}

/// A container that has run for long enough, and whose readiness probe does not succeed.
fn not_ready(pod: &Pod, now: Timestamp) -> Option<State<'_>> {
    let unready = pod.status.container_statuses.iter().find(|status| {
        !status.ready
            && status.started != Some(false)
            && running_for(status, now)
                .is_some_and(|lasted| lasted >= GRACE + delay(pod, &status.name) || was_ready(pod, status))
    });
    unready.map(State::NotReady)
}

fn running_for(status: &ContainerStatus, now: Timestamp) -> Option<SignedDuration> {
    let started = status.state.running.as_ref()?.started_at?;
    Some(now.duration_since(started))
}

/// Whether it lost its readiness after it had started, rather than never had it: the condition turned later than the container began.
fn was_ready(pod: &Pod, status: &ContainerStatus) -> bool {
    let turned = condition(&pod.status.conditions, "Ready").and_then(|ready| ready.last_transition_time);
    let started = status.state.running.as_ref().and_then(|running| running.started_at);
    matches!((turned, started), (Some(turned), Some(started)) if turned.duration_since(started).as_secs() > 2)
}

fn delay(pod: &Pod, container: &str) -> SignedDuration {
    let container = pod.spec.containers.iter().find(|c| c.name == container);
    let probe = container.and_then(|container| container.readiness_probe.as_ref());
    SignedDuration::from_secs(probe.map_or(0, |probe| i64::from(probe.initial_delay_seconds)))
}
