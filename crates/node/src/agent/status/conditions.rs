//! The conditions of a Pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use super::time;
use crate::agent::state::{PodState, Role, Sandbox};

/// What one condition should say.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn holds(kind: &'static str) -> Self {
        Self { kind, holds: true, reason: None, message: None }
    }

    fn fails(kind: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Self { kind, holds: false, reason: Some(reason), message }
    }
}

pub(super) fn conditions(
    pod: &Pod,
    state: &PodState,
    phase: &str,
    all: &[(Role, ContainerStatus)],
    now: Timestamp,
) -> Vec<PodCondition> {
    let old = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let containers = containers_ready(phase, all);
    let ready = ready(pod, &containers, old);
    let network = match state.sandbox {
        Sandbox::Ready => Verdict::holds("PodReadyToStartContainers"),
        _ => Verdict { reason: None, ..Verdict::fails("PodReadyToStartContainers", "", None) },
    };
    let own = [network, initialized(phase, all), ready, containers];
    let mut out: Vec<PodCondition> = own.iter().map(|verdict| render(verdict, old, now)).collect();
    out.extend(old.iter().filter(|c| own.iter().all(|v| v.kind != c.type_)).cloned());
    out
}

fn render(verdict: &Verdict, old: &[PodCondition], now: Timestamp) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let same = old.iter().find(|c| c.type_ == verdict.kind && c.status == status);
    PodCondition {
        type_: verdict.kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message.clone(),
        last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
        last_probe_time: None,
        observed_generation: None,
    }
}

fn initialized(phase: &str, all: &[(Role, ContainerStatus)]) -> Verdict {
    let kind = "Initialized";
    if phase == "Succeeded" {
        return Verdict { reason: Some("PodCompleted"), ..Verdict::holds(kind) };
    }
    let has_started = all.iter().any(|(r, s)| *r == Role::Main && s.container_id.is_some());
    let pending = |(role, status): &&(Role, ContainerStatus)| match role {
        Role::Init => !status.ready,
        Role::Sidecar => status.started != Some(true),
        Role::Main => false,
    };
    let names: Vec<_> = all.iter().filter(pending).map(|(_, s)| s.name.as_str()).collect();
    if names.is_empty() || has_started {
        return Verdict::holds(kind);
    }
    let message = format!("containers with incomplete status: [{}]", names.join(" "));
    Verdict::fails(kind, "ContainersNotInitialized", Some(message))
}

fn containers_ready(phase: &str, all: &[(Role, ContainerStatus)]) -> Verdict {
    let kind = "ContainersReady";
    match phase {
        "Succeeded" => return Verdict::fails(kind, "PodCompleted", None),
        "Failed" => return Verdict::fails(kind, "PodFailed", None),
        _ => {}
    }
    let unready = all.iter().filter(|(r, s)| *r != Role::Init && !s.ready);
    let names: Vec<_> = unready.map(|(_, s)| s.name.as_str()).collect();
    if names.is_empty() {
        return Verdict::holds(kind);
    }
    Verdict::fails(
        kind,
        "ContainersNotReady",
        Some(format!("containers with unready status: [{}]", names.join(" "))),
    )
}

fn ready(pod: &Pod, containers: &Verdict, old: &[PodCondition]) -> Verdict {
    if !containers.holds {
        return Verdict { kind: "Ready", message: containers.message.clone(), ..*containers };
    }
    let gates = pod.spec.as_ref().and_then(|s| s.readiness_gates.as_deref()).unwrap_or_default();
    let closed = gates.iter().map(|g| g.condition_type.as_str()).find_map(|gate| {
        match old.iter().find(|c| c.type_ == gate) {
            None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
            Some(c) if c.status != "True" => {
                Some(format!("the status of pod readiness gate \"{gate}\" is not \"True\", but {}", c.status))
            }
            Some(_) => None,
        }
    });
    match closed {
        Some(message) => Verdict::fails("Ready", "ReadinessGatesNotReady", Some(message)),
        None => Verdict::holds("Ready"),
    }
}
