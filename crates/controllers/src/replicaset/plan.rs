//! How many Pods to create, which to delete.

use super::rank;
use crate::owner::is_deleting;
use crate::pod;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// At most so many Pods are created or deleted in one reconcile.
const BURST: usize = 500;

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Pods to create.
    pub(super) create: usize,
    /// Pods to delete.
    pub(super) delete: Vec<Arc<Pod>>,
}

/// Compares the Pods that a set owns with the number it wants. `related` are the Pods of its siblings and itself.
pub(super) fn plan(set: &ReplicaSet, owned: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Plan {
    if is_deleting(&set.metadata) {
        return Plan::default();
    }
    let active: Vec<Arc<Pod>> = owned.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
    let wanted = usize::try_from(set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)).unwrap_or(0);
    if active.len() < wanted {
        return Plan { create: (wanted - active.len()).min(BURST), delete: Vec::new() };
    }
    let surplus = (active.len() - wanted).min(BURST);
    Plan { create: 0, delete: rank::first_to_go(active, related, surplus, now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts() {
        // (wanted, active, finished, going, set is going) → (created, deleted)
        let table = [
            ((3, 0, 0, 0, false), (3, 0)),
            ((3, 3, 0, 0, false), (0, 0)),
            ((3, 2, 1, 1, false), (1, 0)),
            ((1, 3, 0, 2, false), (0, 2)),
            ((0, 2, 0, 0, false), (0, 2)),
            ((3, 0, 0, 0, true), (0, 0)),
            ((0, 3, 0, 0, true), (0, 0)),
            ((900, 0, 0, 0, false), (500, 0)),
        ];
        for ((wanted, active, finished, going, set_is_going), expected) in table {
            let mut set =
                json!({"metadata": {"name": "s", "uid": "s"}, "spec": {"replicas": wanted, "selector": {}}});
            if set_is_going {
                set["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            let set: ReplicaSet = serde_json::from_value(set).unwrap();
            let pod = |kind: usize, i: usize| {
                let mut pod =
                    json!({"metadata": {"name": format!("p{kind}{i}")}, "status": {"phase": "Running"}});
                if kind == 1 {
                    pod["status"]["phase"] = json!("Failed");
                }
                if kind == 2 {
                    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                }
                Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
            };
            let counts = [active, finished, going];
            let pods: Vec<Arc<Pod>> =
                counts.iter().enumerate().flat_map(|(kind, n)| (0..*n).map(move |i| pod(kind, i))).collect();
            let plan = plan(&set, &pods, &pods, Timestamp::UNIX_EPOCH);
            assert_eq!((plan.create, plan.delete.len()), expected, "{wanted} {active} {finished} {going}");
        }
    }
}
