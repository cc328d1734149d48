//! Which Pod is missed least: `ActivePodsWithRanks` of pkg/controller/controller_utils.go.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` Pods that go first.
pub(super) fn first_to_go(
    mut pods: Vec<Arc<Pod>>,
    related: &[Arc<Pod>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    if count == 0 {
        return Vec::new();
    }
    if count < pods.len() {
        let mut on_node: HashMap<&str, usize> = HashMap::new();
        for pod in related.iter().filter(|pod| pod::is_active(pod)) {
            *on_node.entry(pod::node_name(pod).unwrap_or_default()).or_default() += 1;
        }
        let crowd = |pod: &Pod| on_node.get(pod::node_name(pod).unwrap_or_default()).copied().unwrap_or(0);
        pods.sort_by(|a, b| compare(a, b, crowd(a), crowd(b), now));
        pods.truncate(count);
    }
    pods
}

fn compare(a: &Pod, b: &Pod, crowd_a: usize, crowd_b: usize, now: Timestamp) -> Ordering {
    let bound = |pod: &Pod| pod::node_name(pod).is_some();
    let phase = |pod: &Pod| match pod::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let both_ready = pod::is_ready(a) && pod::is_ready(b);
    bound(a)
        .cmp(&bound(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| pod::is_ready(a).cmp(&pod::is_ready(b)))
        .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
        .then_with(|| crowd_b.cmp(&crowd_a))
        .then_with(|| {
            if both_ready {
                younger_first(pod::ready_transition(a), pod::ready_transition(b), now)
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| younger_first(created(a), created(b), now))
        .then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

/// Younger first, in orders of magnitude (KEP-2185); no time at all is youngest.
fn younger_first(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp) -> Ordering {
    let magnitude =
        |time: Option<Timestamp>| time.map(|time| (now - time).get_seconds().max(0) + 1).map(i64::ilog2);
    magnitude(a).cmp(&magnitude(b))
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    containers.into_iter().flatten().map(|c| c.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, patch: Value) -> Arc<Pod> {
        let time = "2026-01-01T00:00:00Z";
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": time, "annotations": {}},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"phase": "Running", "containerStatuses": [],
                       "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]},
        });
        for (pointer, value) in patch.as_object().unwrap() {
            let (parent, leaf) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[leaf] = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn the_first_to_go() {
        let not_ready = json!([{"type": "Ready", "status": "False"}]);
        let late = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:59:00Z"}]);
        let restarted = json!([{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3}]);
        // What goes before an ordinary Pod.
        let table = [
            ("not bound", json!({"/spec/nodeName": ""})),
            ("pending", json!({"/status/phase": "Pending"})),
            ("not ready", json!({"/status/conditions": not_ready})),
            ("cheap", json!({"/metadata/annotations": {DELETION_COST: "-1"}})),
            ("ready since lately", json!({"/status/conditions": late})),
            ("restarted", json!({"/status/containerStatuses": restarted})),
            ("younger", json!({"/metadata/creationTimestamp": "2026-01-01T00:59:00Z"})),
        ];
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        for (what, patch) in &table {
            for first in ["a", "z"] {
                let pods = vec![pod("m", json!({})), pod(first, patch.clone())];
                let gone = first_to_go(pods.clone(), &[], 1, now);
                assert_eq!(gone[0].metadata.name.as_deref(), Some(first), "{what}");
            }
        }
        // Earlier criteria beat later ones.
        let pods: Vec<_> = table.iter().rev().map(|(what, patch)| pod(what, patch.clone())).collect();
        let order = first_to_go(pods, &[], 6, now);
        let names: Vec<_> = order.iter().filter_map(|p| p.metadata.name.as_deref()).collect();
        assert_eq!(names, ["not bound", "pending", "not ready", "cheap", "ready since lately", "restarted"]);
    }

    #[test]
    fn crowded_nodes_first() {
        let at = |name: &str, node: &str| pod(name, json!({"/spec/nodeName": node}));
        let pods = vec![at("a", "n1"), at("b", "n2"), at("c", "n2")];
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let gone = first_to_go(pods.clone(), &pods, 1, now);
        assert_eq!(gone[0].metadata.name.as_deref(), Some("b"));
    }
}
