//! The status of a ReplicaSet.

use crate::patch::difference;
use crate::pod;
use crate::queue::Next;
use crate::recorder::seconds;
use crate::selector::equality_matches;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The merge patch that makes the status right, or nothing if it is. `failure` is what went wrong just now: whether
/// in creating (or deleting) Pods, and the message.
pub(super) fn patch(
    set: &ReplicaSet,
    owned: &[Arc<Pod>],
    failure: Option<(bool, String)>,
    now: Timestamp,
) -> Option<Value> {
    let spec = set.spec.as_ref()?;
    let active: Vec<&Pod> = owned.iter().map(Arc::as_ref).filter(|pod| pod::is_active(pod)).collect();
    let template = spec.template.as_ref().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone());
    let template = template.unwrap_or_default();
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let count = |test: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| test(pod)).count();
    let labeled = count(&|pod| equality_matches(&template, pod.metadata.labels.as_ref()));
    let ready = count(&pod::is_ready);
    let available = count(&|pod| pod::available_at(pod, min_ready).is_some_and(|when| when <= now));
    let mut status = json!({"replicas": active.len(), "observedGeneration": set.metadata.generation});
    // Go's `omitempty`: zeros are left out.
    for (field, count) in
        [("fullyLabeledReplicas", labeled), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status[field] = count.into();
        }
    }
    let conditions = conditions(set, failure, now);
    if !conditions.is_empty() {
        status["conditions"] = json!(conditions);
    }
    let change = difference(&json!(set.status.clone().unwrap_or_default()), &status)?;
    Some(json!({"metadata": {"uid": set.metadata.uid}, "status": change}))
}

fn conditions(set: &ReplicaSet, failure: Option<(bool, String)>, now: Timestamp) -> Vec<ReplicaSetCondition> {
    let old = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut kept: Vec<ReplicaSetCondition> =
        old.iter().filter(|c| c.type_ != "ReplicaFailure").cloned().collect();
    if let Some((creating, message)) = failure {
        let reason = if creating { "FailedCreate" } else { "FailedDelete" };
        let former =
            old.into_iter().find(|c| c.type_ == "ReplicaFailure" && c.reason.as_deref() == Some(reason));
        kept.push(former.unwrap_or_else(|| {
            let condition = json!({"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message,
                                   "lastTransitionTime": seconds(now)});
            serde_json::from_value(condition).expect("a condition of known fields")
        }));
    }
    kept
}

/// When a ready Pod becomes available by the passing of time alone.
pub(super) fn next_look(set: &ReplicaSet, owned: &[Arc<Pod>], now: Timestamp) -> Next {
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let pods = owned.iter().filter(|pod| pod::is_active(pod));
    let next = pods.filter_map(|pod| pod::available_at(pod, min_ready)).filter(|when| *when > now).min();
    let pause = next.and_then(|when| Duration::try_from(when.duration_since(now)).ok());
    pause.map_or(Next::Wait, Next::After)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(status: Value) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "uid": "s", "generation": 2},
            "spec": {"selector": {}, "minReadySeconds": 10, "template": {"metadata": {"labels": {"app": "web"}}}},
            "status": status,
        }))
        .unwrap()
    }

    fn pod(app: &str, ready_at: Option<&str>) -> Arc<Pod> {
        let ready = if ready_at.is_some() { "True" } else { "False" };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"labels": {"app": app}},
                "status": {"phase": "Running",
                           "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": ready_at}]},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn counts_and_the_next_look() {
        let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        let pods = [
            pod("web", Some("2026-01-01T00:00:00Z")),
            pod("web", Some("2026-01-01T00:00:25Z")),
            pod("relabeled", None),
        ];
        let patched = patch(&set(json!({"replicas": 0})), &pods, None, now).unwrap();
        assert_eq!(
            patched["status"],
            json!({"replicas": 3, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 1,
                   "observedGeneration": 2})
        );
        assert_eq!(next_look(&set(json!({"replicas": 0})), &pods, now), Next::After(Duration::from_secs(5)));
        assert_eq!(patch(&set(patched["status"].clone()), &pods, None, now), None, "nothing to say twice");
    }

    #[test]
    fn a_failure_is_a_condition_once() {
        let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        let failed = patch(&set(json!({"replicas": 0})), &[], Some((true, "quota".into())), now).unwrap();
        assert_eq!(failed["status"]["conditions"][0]["reason"], "FailedCreate");
        let again = set(
            json!({"replicas": 0, "observedGeneration": 2, "conditions": failed["status"]["conditions"]}),
        );
        assert_eq!(patch(&again, &[], Some((true, "quota".into())), now), None);
        let over = patch(&again, &[], None, now).unwrap();
        assert_eq!(over["status"]["conditions"], Value::Null);
    }
}
