//! What a Pod's status says.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A condition by its type.
pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Condition Ready is True.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// When it became what it is now, ready or not.
pub(crate) fn ready_transition(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready").and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0)
}

/// `status.phase`; a Pod without one is Pending.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// It will never run again.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// It runs or will run: it counts among the replicas of its owner.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// When it is, or will be, available: ready for `min_ready_seconds`. None if it is not ready.
pub(crate) fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    if !is_ready(pod) {
        return None;
    }
    let since = ready_transition(pod).unwrap_or(Timestamp::MIN);
    if min_ready_seconds <= 0 {
        return Some(Timestamp::MIN);
    }
    since.checked_add(SignedDuration::from_secs(min_ready_seconds.into())).ok()
}

/// Its spec, which only a broken object lacks.
pub(crate) fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

/// The node it is bound to.
pub(crate) fn node_name(pod: &Pod) -> Option<&str> {
    spec(pod).and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
}

/// Its address of one family, primary first.
pub(crate) fn address(pod: &Pod, ipv6: bool) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).chain(status.pod_ip.as_deref());
    all.into_iter().find(|ip| !ip.is_empty() && ip.contains(':') == ipv6)
}
