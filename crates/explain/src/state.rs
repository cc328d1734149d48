//! Why a Pod does or does not serve: one answer a Pod, so that each trouble is told by one cause only.

use crate::objects::{Condition, ContainerStatus, Pod, Terminated, condition};
use crate::view::View;
use jiff::{SignedDuration, Timestamp};

/// For so long a Pod that is not ready yet is merely starting.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_secs(20);

/// For so long the scheduler may take to find a node, such as one that a Pod is just leaving.
const SCHEDULER_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// For so long a readiness gate that somebody looks after may be `False`: load balancers take minutes to check a target.
const GATE_GRACE: SignedDuration = SignedDuration::from_secs(300);

/// After so many restarts a container that runs only for moments is in a crash loop, though it runs just now.
const LOOP_RESTARTS: u32 = 3;

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
    /// The containers are ready; this readiness gate is not set, or has been `False` for long.
    Gate(&'a str),
    /// A container runs, and its readiness probe does not succeed.
    NotReady(&'a ContainerStatus),
    /// It is on its way.
    Starting,
    /// Its node does not answer for it.
    NodeLost,
}

/// The state of a Pod.
pub(crate) fn state<'a>(view: &View<'a>, pod: &'a Pod) -> State<'a> {
    let now = view.snapshot.now;
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
        return unscheduled(pod, now).unwrap_or(State::Starting);
    }
    let ready = condition(conditions, "Ready");
    let unknown = pod.status.phase == "Unknown" || ready.is_some_and(|r| r.reason == "NodeStatusUnknown");
    if unknown || view.is_lost(pod) {
        return State::NodeLost;
    }
    if let Some(failed) = containers(pod).find_map(|status| failure(status, now)) {
        return failed;
    }
    gate(pod, now).or_else(|| not_ready(pod, now)).unwrap_or(State::Starting)
}

/// That the scheduler has found no node for a while; it may be about to try again for a Pod that was made just now.
fn unscheduled(pod: &Pod, now: Timestamp) -> Option<State<'_>> {
    let scheduled = condition(&pod.status.conditions, "PodScheduled").filter(|c| c.status == "False")?;
    // The scheduler does not even look at a Pod whose scheduling gates are set.
    let told = lasted(pod.metadata.creation_timestamp, now).is_none_or(|age| age >= SCHEDULER_GRACE);
    (told && scheduled.reason != "SchedulingGated").then_some(State::Unscheduled(&scheduled.message))
}

/// How long ago that was.
fn lasted(since: Option<Timestamp>, now: Timestamp) -> Option<SignedDuration> {
    since.map(|since| now.duration_since(since))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses)
}

/// What has gone wrong with a container that does not run, or not for long.
fn failure(status: &ContainerStatus, now: Timestamp) -> Option<State<'_>> {
    let oom = |ended: &Option<Terminated>| ended.as_ref().is_some_and(|e| e.reason == "OOMKilled");
    if oom(&status.state.terminated) || (oom(&status.last_state.terminated) && !status.ready) {
        return Some(State::OomKilled(status));
    }
    let Some(waiting) = &status.state.waiting else {
        return loops(status, now).then_some(State::CrashLoop(status));
    };
    match waiting.reason.as_str() {
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

/// Whether a container that ended, or has been started again, is between two crashes.
fn loops(status: &ContainerStatus, now: Timestamp) -> bool {
    let failed = |ended: &Option<Terminated>| ended.as_ref().is_some_and(|ended| ended.exit_code != 0);
    let ended_again = failed(&status.state.terminated) && status.restart_count > 0;
    let runs_again = failed(&status.last_state.terminated)
        && !status.ready
        && status.restart_count >= LOOP_RESTARTS
        && running_for(status, now).is_some_and(|lasted| lasted < GRACE);
    ended_again || runs_again
}

/// A readiness gate that is not set, where all else is ready: nobody looks after it, or it has been `False` for long.
fn gate(pod: &Pod, now: Timestamp) -> Option<State<'_>> {
    let named = |kind: &str| condition(&pod.status.conditions, kind);
    let is_true = |c: &Condition| c.status == "True";
    let ready = named("ContainersReady").filter(|c| is_true(c))?;
    let closed = |gate: &&str| match named(gate) {
        Some(set) if is_true(set) => false,
        Some(set) => lasted(set.last_transition_time, now).is_none_or(|lasted| lasted >= GATE_GRACE),
        None => lasted(ready.last_transition_time, now).is_none_or(|lasted| lasted >= GRACE),
    };
    let gates = pod.spec.readiness_gates.iter().map(|gate| gate.condition_type.as_str());
    gates.into_iter().find(closed).map(State::Gate)
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
    lasted(status.state.running.as_ref()?.started_at, now)
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
