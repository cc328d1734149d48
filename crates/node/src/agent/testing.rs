//! Builders for the tables of this module's tests.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::state::{ContainerView, PodState, Sandbox};
use crate::runtime::{ContainerId, ContainerState, ContainerStatus};

/// Second `s` of the tests' time.
pub(crate) fn at(s: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + s)
}

/// A Pod with main containers `names` and further fields of its spec.
pub(crate) fn pod(names: &[&str], spec: Value) -> Pod {
    let mut spec = spec;
    spec["containers"] = names.iter().map(|n| json!({"name": n, "image": "localhost/hello"})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"},
        "spec": spec,
        "status": {"phase": "Pending", "qosClass": "BestEffort", "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-12T13:46:40Z"}]},
    }))
    .expect("a Pod")
}

/// A Pod that is being deleted.
pub(crate) fn deleted(mut pod: Pod, grace_s: i64) -> Pod {
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(grace_s)));
    pod.metadata.deletion_grace_period_seconds = Some(grace_s);
    pod
}

/// A state with a ready sandbox.
pub(crate) fn ready(containers: Vec<(&str, ContainerView)>) -> PodState {
    PodState {
        sandbox: Sandbox::Ready,
        addresses: vec!["10.244.0.2".parse().expect("an address")],
        start_time: Some(at(0)),
        gone: false,
        containers: containers.into_iter().map(|(name, view)| (name.to_owned(), view)).collect(),
    }
}

/// A running attempt, started and ready.
pub(crate) fn running(attempt: u32) -> ContainerView {
    ContainerView {
        attempt: Some(attempt),
        current: Some(record(attempt, ContainerState::Running)),
        started: true,
        ready: true,
        ..Default::default()
    }
}

/// An attempt that ended at second `s`.
pub(crate) fn exited(attempt: u32, exit_code: i32, s: i64) -> ContainerView {
    let mut current = record(attempt, ContainerState::Exited);
    current.exit_code = exit_code;
    current.finished_at = Some(at(s));
    ContainerView { attempt: Some(attempt), current: Some(current), ..Default::default() }
}

fn record(attempt: u32, state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        id: ContainerId { pod_uid: "u-1".into(), name: "a".into(), attempt },
        container_id: format!("{attempt:064}"),
        state,
        image: "localhost/hello:latest".into(),
        image_id: "sha256:1".into(),
        pid: 1,
        started_at: Some(at(1)),
        finished_at: None,
        exit_code: 0,
        signal: 0,
        reason: String::new(),
        message: String::new(),
        log_path: "/log".into(),
    }
}
