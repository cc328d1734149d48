//! What to do next for one Pod. Pure: (spec, state, now) → actions and when to look again.
//!
//! Actions under way are part of the state, so planning twice plans nothing twice. An action never blocks: it is
//! performed by a task of its own, whose outcome changes the state.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};

use super::state::{ContainerView, PodState, Role, Sandbox, containers, restart_policy, terminating};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make network, volumes and sandbox.
    SetUp,
    /// Start an attempt of a container.
    Start {
        /// Which container.
        container: String,
        /// Which attempt.
        attempt: u32,
    },
    /// Say that a failed container waits (event BackOff).
    TellBackOff {
        /// Which container.
        container: String,
    },
    /// Turn ErrImagePull into ImagePullBackOff.
    PullBackOff {
        /// Which container.
        container: String,
    },
    /// End a container.
    Stop {
        /// Which container.
        container: String,
        /// Seconds until it is killed.
        grace_s: i64,
        /// What the Killing event says.
        message: String,
    },
    /// Remove sandbox, volumes and network.
    TearDown,
    /// Delete the API object: everything is over.
    Finish,
}

/// What to do, and when to plan again if nothing happens before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The steps; independent of each other.
    pub(crate) actions: Vec<Action>,
    /// When time alone changes the plan.
    pub(crate) wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }
}

/// How long ErrImagePull is shown before ImagePullBackOff.
const PULL_ERROR_SHOWN: SignedDuration = SignedDuration::from_secs(1);

/// Plans one Pod.
pub(crate) fn plan(pod: &Pod, state: &PodState, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if terminating(pod, state) || finished(pod, state) || past_deadline(pod, state, now) {
        wind_down(pod, state, now, &mut plan);
        return plan;
    }
    if let Some(deadline) = deadline(pod, state) {
        plan.wake_at(deadline);
    }
    match &state.sandbox {
        Sandbox::Absent => plan.actions.push(Action::SetUp),
        Sandbox::Failed { retry } if *retry <= now => plan.actions.push(Action::SetUp),
        Sandbox::Failed { retry } => plan.wake_at(*retry),
        Sandbox::Ready => start_in_order(pod, state, now, &mut plan),
        Sandbox::Starting | Sandbox::Stopping | Sandbox::Removed => {}
    }
    plan
}

/// When `spec.activeDeadlineSeconds` ends the Pod.
fn deadline(pod: &Pod, state: &PodState) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    state.start_time?.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Whether the Pod ran out of its active deadline.
pub(crate) fn past_deadline(pod: &Pod, state: &PodState, now: Timestamp) -> bool {
    deadline(pod, state).is_some_and(|d| d <= now)
}

/// Whether the Pod ran to its end by itself: nothing runs and nothing will be restarted.
pub(crate) fn finished(pod: &Pod, state: &PodState) -> bool {
    let policy = restart_policy(pod);
    if policy == "Always" {
        return false;
    }
    let view = |name: &str| state.containers.get(name);
    let failed_init = containers(pod).any(|(role, c)| {
        role == Role::Init && policy == "Never" && view(&c.name).is_some_and(|v| over(v) && !exited_well(v))
    });
    let mains_over = containers(pod)
        .filter(|(role, _)| *role == Role::Main)
        .all(|(_, c)| view(&c.name).is_some_and(|v| over(v) && (policy == "Never" || exited_well(v))));
    failed_init || mains_over
}

fn over(view: &ContainerView) -> bool {
    view.exited().is_some() && !view.busy()
}

fn exited_well(view: &ContainerView) -> bool {
    view.exited().is_some_and(|c| c.exit_code == 0)
}

/// Ends whatever runs, then removes the surroundings, then the object.
fn wind_down(pod: &Pod, state: &PodState, now: Timestamp, plan: &mut Plan) {
    let mut quiet = !state.containers.values().any(|v| v.starting);
    let grace_s = grace_s(pod);
    // Sidecars end after the containers that they serve.
    let main_runs = containers(pod).any(|(role, c)| {
        role != Role::Sidecar && state.containers.get(&c.name).is_some_and(ContainerView::running)
    });
    for (role, container) in containers(pod) {
        let Some(view) = state.containers.get(&container.name) else { continue };
        if !view.running() {
            continue;
        }
        quiet = false;
        if role == Role::Sidecar && main_runs {
            continue;
        }
        let ends = now.checked_add(SignedDuration::from_secs(grace_s)).unwrap_or(now);
        let shortened = view.stopping.is_some_and(|t| t > ends);
        if view.stopping.is_none() || shortened {
            let name = container.name.clone();
            let message = format!("Stopping container {name}");
            plan.actions.push(Action::Stop { container: name, grace_s, message });
        }
    }
    if !quiet {
        return;
    }
    match state.sandbox {
        Sandbox::Removed if terminating(pod, state) => plan.actions.push(Action::Finish),
        Sandbox::Removed | Sandbox::Stopping | Sandbox::Starting => {}
        _ => plan.actions.push(Action::TearDown),
    }
}

/// The Pod's termination grace period in seconds, the deletion's before the spec's.
fn grace_s(pod: &Pod) -> i64 {
    let deletion = pod.metadata.deletion_grace_period_seconds;
    let spec = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
    deletion.or(spec).unwrap_or(30).max(0)
}

/// Init containers one after the other, then all others; restarts by policy.
fn start_in_order(pod: &Pod, state: &PodState, now: Timestamp, plan: &mut Plan) {
    let unknown = ContainerView::default();
    // Once a main container ran in this sandbox, init containers are history.
    let initialized = containers(pod).any(|(role, c)| {
        role == Role::Main && state.containers.get(&c.name).is_some_and(|v| v.current.is_some() && !v.stale)
    });
    for (role, container) in containers(pod) {
        let view = state.containers.get(&container.name).unwrap_or(&unknown);
        match role {
            Role::Init if initialized || view.succeeded() => continue,
            _ => advance(pod, role, container, view, now, plan),
        }
        let passed = match role {
            Role::Init => false,
            Role::Sidecar => initialized || (view.running() && view.started),
            Role::Main => true,
        };
        if !passed {
            return;
        }
    }
}

/// Starts, restarts or stops one container that may run now.
fn advance(
    pod: &Pod,
    role: Role,
    container: &Container,
    view: &ContainerView,
    now: Timestamp,
    plan: &mut Plan,
) {
    if view.busy() {
        return;
    }
    let name = container.name.clone();
    if view.running() {
        if let Some(message) = view.must_stop.clone() {
            plan.actions.push(Action::Stop { container: name, grace_s: grace_s(pod), message });
        }
        return;
    }
    if let Some(waiting) = &view.waiting {
        return retry_waiting(view, name, waiting, now, plan);
    }
    let attempt = view.attempt.map_or(0, |a| a + 1);
    let Some(exit) = view.exited() else {
        plan.actions.push(Action::Start { container: name, attempt });
        return;
    };
    if !restarts(pod, role, exit.exit_code, view.stale) {
        return;
    }
    let ended = exit.finished_at.unwrap_or(now);
    match view.restarts.until(ended).filter(|until| *until > now) {
        Some(until) => {
            plan.wake_at(until);
            if view.backoff_told != Some(ended) {
                plan.actions.push(Action::TellBackOff { container: name });
            }
        }
        None => plan.actions.push(Action::Start { container: name, attempt }),
    }
}

fn retry_waiting(
    view: &ContainerView,
    name: String,
    waiting: &super::state::Waiting,
    now: Timestamp,
    plan: &mut Plan,
) {
    if waiting.retry <= now {
        let attempt = view.attempt.map_or(0, |a| a + 1);
        plan.actions.push(Action::Start { container: name, attempt });
        return;
    }
    plan.wake_at(waiting.retry);
    if waiting.reason == "ErrImagePull" {
        match waiting.since.checked_add(PULL_ERROR_SHOWN) {
            Ok(at) if at > now => plan.wake_at(at),
            _ => plan.actions.push(Action::PullBackOff { container: name }),
        }
    }
}

/// Whether a container that ended is started again.
fn restarts(pod: &Pod, role: Role, exit_code: i32, stale: bool) -> bool {
    match (role, restart_policy(pod)) {
        (Role::Sidecar, _) | (Role::Main, "Always") => true,
        (Role::Init, "Never") => stale && exit_code == 0,
        (Role::Init, _) => stale || exit_code != 0,
        (Role::Main, "OnFailure") => exit_code != 0,
        (Role::Main, _) => false,
    }
}

#[cfg(test)]
mod tests;
