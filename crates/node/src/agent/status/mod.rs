//! A Pod's status, to the letter as the kubelet writes it. Pure (pkg/kubelet/kubelet_pods.go and status/generate.go).

mod conditions;
pub(crate) mod container;

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan;
use super::state::{ContainerView, PodState, Role, containers, restart_policy, terminating};

/// The status that `pod` should show. Conditions keep their transition times from the Pod's present status, and those
/// that are not the agent's are kept.
pub(crate) fn status(pod: &Pod, state: &PodState, node: &[IpAddr], now: Timestamp) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let late = plan::past_deadline(pod, state, now);
    let phase = phase(pod, state, late);
    let all: Vec<_> =
        containers(pod).map(|(role, spec)| (role, container::status(pod, role, spec, state, now))).collect();
    let statuses = |main: bool| {
        let list: Vec<_> =
            all.iter().filter(|(r, _)| (*r == Role::Main) == main).map(|(_, s)| s.clone()).collect();
        (!list.is_empty()).then_some(list)
    };
    let ips: Vec<String> = state.addresses.iter().map(ToString::to_string).collect();
    PodStatus {
        conditions: Some(conditions::conditions(pod, state, &phase, &all, now)),
        phase: Some(phase),
        container_statuses: statuses(true),
        init_container_statuses: statuses(false),
        host_ip: node.first().map(ToString::to_string),
        host_ips: Some(node.iter().map(|ip| HostIP { ip: ip.to_string() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: old.start_time.clone().or_else(|| state.start_time.map(time)),
        reason: if late { Some("DeadlineExceeded".to_owned()) } else { None },
        message: late.then(|| "Pod was active on the node longer than the specified deadline".to_owned()),
        ..old
    }
}

/// Kubernetes times have whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn phase(pod: &Pod, state: &PodState, late: bool) -> String {
    let unknown = ContainerView::default();
    let view = |name: &str| state.containers.get(name).unwrap_or(&unknown);
    let (mut running, mut stopped, mut succeeded, mut waiting) = (0, 0, 0, 0);
    let mut init_pending = false;
    for (role, spec) in containers(pod) {
        let view = view(&spec.name);
        match role {
            Role::Init => {
                let failed =
                    restart_policy(pod) == "Never" && view.exited().is_some_and(|c| c.exit_code != 0);
                init_pending |= !view.succeeded() && !failed && !has_started(pod, state);
            }
            Role::Sidecar => {}
            Role::Main if view.running() => running += 1,
            Role::Main => match view.exited() {
                Some(exit) => {
                    stopped += 1;
                    succeeded += i32::from(exit.exit_code == 0);
                }
                None => waiting += 1,
            },
        }
    }
    let ended = terminating(pod, state) || plan::finished(pod, state) || late;
    let text = if ended && running == 0 && !any_running(state) {
        if waiting == 0 && stopped == succeeded { "Succeeded" } else { "Failed" }
    } else if init_pending || waiting > 0 {
        "Pending"
    } else {
        "Running"
    };
    text.to_owned()
}

fn any_running(state: &PodState) -> bool {
    state.containers.values().any(|v| v.running() || v.starting)
}

/// Whether a main container ever ran: init containers that are run again for a new sandbox do not make a Pod Pending.
fn has_started(pod: &Pod, state: &PodState) -> bool {
    containers(pod).any(|(role, c)| {
        role == Role::Main && state.containers.get(&c.name).is_some_and(|v| v.current.is_some())
    })
}

#[cfg(test)]
mod tests;
