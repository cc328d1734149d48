//! What the silence of a node means for it and its Pods: pkg/controller/nodelifecycle, pkg/controller/tainteviction.

use crate::pod;
use crate::recorder::seconds;
use crate::scheduler::fit::tolerates_one;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The status of condition Ready: True, False, Unknown, or nothing if it never said.
pub(super) fn ready(node: &Node) -> Option<&str> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready").map(|c| c.status.as_str())
}

/// The strategic merge patch of the status of a silent node, unless it says so already.
pub(super) fn silence(node: &Node, now: Timestamp) -> Option<Value> {
    if ready(node) == Some("Unknown") {
        return None;
    }
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let changed: Vec<Value> = CONDITIONS
        .iter()
        .filter_map(|kind| {
            let current = conditions.iter().find(|condition| condition.type_ == *kind);
            let (reason, message) = match current {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            };
            let news = current.is_none_or(|current| current.status != "Unknown");
            news.then(|| {
                json!({"type": kind, "status": "Unknown", "reason": reason, "message": message,
                       "lastHeartbeatTime": current.and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| seconds(t.0)),
                       "lastTransitionTime": seconds(now)})
            })
        })
        .collect();
    Some(json!({"metadata": {"uid": node.metadata.uid}, "status": {"conditions": changed}}))
}

/// The taints as they are to be, if they are not.
pub(super) fn taints(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let spec = node.spec.clone().unwrap_or_default();
    let present = spec.taints.unwrap_or_default();
    let mut wanted = Vec::new();
    if spec.unschedulable == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    match ready(node) {
        Some("True") => {}
        Some("Unknown") => wanted.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
        _ => wanted.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
    }
    let ours = |taint: &Taint| [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str());
    let mut taints: Vec<Taint> = present.iter().filter(|taint| !ours(taint)).cloned().collect();
    for (key, effect) in wanted {
        let former = present.iter().find(|taint| taint.key == key && taint.effect == effect);
        taints.push(former.cloned().unwrap_or_else(|| Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            time_added: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now)),
            value: None,
        }));
    }
    let same = taints.len() == present.len() && taints.iter().all(|taint| present.contains(taint));
    (!same).then_some(taints)
}

/// When a Pod must leave the node because of its NoExecute taints; None if it may stay for ever. A Pod that says
/// nothing about a node's silence tolerates it for `default`, as admission would have written into it.
pub(super) fn eviction(node: &Node, pod: &Pod, default: SignedDuration) -> Option<Timestamp> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let tolerations = pod::spec(pod).and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let times = taints.iter().filter(|taint| taint.effect == "NoExecute").filter_map(|taint| {
        let since = taint.time_added.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let mut matching =
            tolerations.iter().filter(|toleration| tolerates_one(toleration, taint)).peekable();
        if matching.peek().is_none() {
            let by_silence = taint.key == NOT_READY || taint.key == UNREACHABLE;
            return Some(if by_silence { since + default } else { since });
        }
        let limits = matching.map(|toleration| toleration.toleration_seconds);
        let shortest = limits.flatten().min()?;
        Some(since + SignedDuration::from_secs(shortest.max(0)))
    });
    times.min()
}

/// The strategic merge patch that makes a Pod on a silent node unready, so that Services leave it.
pub(super) fn unready(pod: &Pod, now: Timestamp) -> Option<Value> {
    let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": seconds(now)});
    pod::is_ready(pod)
        .then(|| json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: Option<&str>, spec: Value) -> Node {
        let mut conditions = json!([{"type": "DiskPressure", "status": "False"}]);
        if let Some(ready) = ready {
            conditions.as_array_mut().unwrap().push(json!({"type": "Ready", "status": ready}));
        }
        serde_json::from_value(
            json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn silent_nodes_are_unknown() {
        let patch = silence(&node(Some("True"), json!({})), now()).unwrap();
        let said: Vec<_> = patch["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| {
                format!(
                    "{} {} {}",
                    c["type"].as_str().unwrap(),
                    c["status"].as_str().unwrap(),
                    c["reason"].as_str().unwrap()
                )
            })
            .collect();
        let expected = [
            "Ready Unknown NodeStatusUnknown",
            "MemoryPressure Unknown NodeStatusNeverUpdated",
            "DiskPressure Unknown NodeStatusUnknown",
            "PIDPressure Unknown NodeStatusNeverUpdated",
        ];
        assert_eq!(said, expected);
        assert_eq!(silence(&node(Some("Unknown"), json!({})), now()), None);
    }

    #[test]
    fn taints_follow_readiness() {
        let own = json!({"key": "gpu", "effect": "NoSchedule"});
        let table: &[(Option<&str>, Value, Option<&str>)] = &[
            (Some("True"), json!({}), None),
            (Some("False"), json!({}), Some("not-ready:NoSchedule not-ready:NoExecute")),
            (None, json!({}), Some("not-ready:NoSchedule not-ready:NoExecute")),
            (
                Some("Unknown"),
                json!({"taints": [own]}),
                Some("gpu:NoSchedule unreachable:NoSchedule unreachable:NoExecute"),
            ),
            (
                Some("True"),
                json!({"taints": [own, {"key": UNREACHABLE, "effect": "NoExecute"}]}),
                Some("gpu:NoSchedule"),
            ),
            (Some("True"), json!({"unschedulable": true}), Some("unschedulable:NoSchedule")),
            (
                Some("False"),
                json!({"taints": [{"key": NOT_READY, "effect": "NoSchedule"}, {"key": NOT_READY, "effect": "NoExecute"}]}),
                None,
            ),
        ];
        for (ready, spec, expected) in table {
            let found = taints(&node(*ready, spec.clone()), now()).map(|taints| {
                let all = taints
                    .iter()
                    .map(|t| format!("{}:{}", t.key.trim_start_matches("node.kubernetes.io/"), t.effect));
                all.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.as_deref(), *expected, "{ready:?} {spec}");
        }
    }

    #[test]
    fn evictions() {
        let taint = |key: &str| json!({"taints": [{"key": key, "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]});
        let tolerate = |seconds: Value| json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
        let table = [
            (taint(UNREACHABLE), json!([]), Some("2026-01-01T00:05:00Z")),
            (taint(UNREACHABLE), tolerate(json!(30)), Some("2026-01-01T00:00:30Z")),
            (taint(UNREACHABLE), tolerate(json!(null)), None),
            (taint("repair"), json!([]), Some("2026-01-01T00:00:00Z")),
            (json!({}), json!([]), None),
        ];
        for (spec, tolerations, expected) in table {
            let pod: Pod =
                serde_json::from_value(json!({"spec": {"containers": [], "tolerations": tolerations}}))
                    .unwrap();
            let found = eviction(&node(Some("Unknown"), spec.clone()), &pod, SignedDuration::from_secs(300));
            assert_eq!(found, expected.map(|time| time.parse().unwrap()), "{spec} {tolerations}");
        }
    }
}
