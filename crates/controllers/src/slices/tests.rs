//! Slices that change as little as possible; ports and Pods of a Service.

use super::diff::{Changes, Family, Group, SERVICE_NAME, SliceOwner, plan_slices};
use super::{matters, target_port};
use k8s_openapi::api::core::v1::{Pod, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn owner() -> SliceOwner {
    SliceOwner {
        name: "web".into(),
        reference: json!({"uid": "svc"}),
        labels: [(SERVICE_NAME.to_owned(), "web".to_owned())].into(),
        annotations: BTreeMap::new(),
        trigger_time: None,
    }
}

fn port(number: i32) -> Vec<EndpointPort> {
    vec![EndpointPort {
        name: Some(String::new()),
        port: Some(number),
        protocol: Some("TCP".into()),
        app_protocol: None,
    }]
}

fn endpoint(index: usize, ready: bool) -> Endpoint {
    serde_json::from_value(json!({
        "addresses": [format!("10.244.{}.{}", index / 250, index % 250)],
        "conditions": {"ready": ready},
    }))
    .unwrap()
}

fn group(number: i32, indexes: impl IntoIterator<Item = usize>) -> Group {
    let endpoints = indexes.into_iter().map(|index| endpoint(index, true)).collect();
    Group { family: Family::V4, ports: port(number), endpoints }
}

/// Writes the changes down as the API would.
fn applied(existing: &[Arc<EndpointSlice>], changes: &Changes) -> Vec<Arc<EndpointSlice>> {
    let gone: Vec<_> = changes.delete.iter().map(|s| s.metadata.name.clone()).collect();
    let mut all: Vec<Value> =
        existing.iter().filter(|s| !gone.contains(&s.metadata.name)).map(|s| json!(s.as_ref())).collect();
    for (slice, patch) in &changes.update {
        let found = all.iter_mut().find(|s| s["metadata"]["name"] == json!(slice.metadata.name)).unwrap();
        for field in ["endpoints", "ports"] {
            if !patch[field].is_null() {
                found[field] = patch[field].clone();
            }
        }
    }
    for (index, slice) in changes.create.iter().enumerate() {
        let mut slice = slice.clone();
        slice["metadata"]["name"] = json!(format!("web-{}{index}", all.len()));
        all.push(slice);
    }
    all.into_iter().map(|slice| Arc::new(serde_json::from_value(slice).unwrap())).collect()
}

fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
    slices.iter().map(|slice| slice.endpoints.len()).collect()
}

fn writes(changes: &Changes) -> (usize, usize, usize) {
    (changes.create.len(), changes.update.len(), changes.delete.len())
}

fn plan(existing: &[Arc<EndpointSlice>], groups: Vec<Group>) -> Changes {
    plan_slices(&owner(), existing, groups, &[Family::V4], true)
}

#[test]
fn slices_change_as_little_as_possible() {
    let first = plan(&[], vec![group(80, 0..250)]);
    assert_eq!(writes(&first), (3, 0, 0));
    assert_eq!(first.create[0]["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
    let slices = applied(&[], &first);
    assert_eq!(sizes(&slices), [100, 100, 50]);
    assert_eq!(writes(&plan(&slices, vec![group(80, 0..250)])), (0, 0, 0), "twice is once");
    let more = plan(&slices, vec![group(80, 0..260)]);
    assert_eq!(writes(&more), (0, 1, 0), "new ones go into the slice with room");
    let fewer = plan(&slices, vec![group(80, (0..250).filter(|i| *i != 7))]);
    assert_eq!(writes(&fewer), (0, 1, 0));
    let swapped = plan(&slices, vec![group(80, (1..250).chain([300]))]);
    assert_eq!(writes(&swapped), (0, 1, 0), "a replacement goes where one left");
    let gone = plan(&slices, vec![group(80, 0..100)]);
    assert_eq!(writes(&gone), (0, 0, 2));
    let mut unready = group(80, 0..250);
    unready.endpoints[120] = endpoint(120, false);
    assert_eq!(writes(&plan(&slices, vec![unready])), (0, 1, 0));
}

#[test]
fn groups_of_ports_have_slices_of_their_own() {
    let slices = applied(&[], &plan(&[], vec![group(80, 0..3), group(81, 3..5)]));
    assert_eq!(sizes(&slices), [3, 2]);
    let moved = plan(&slices, vec![group(80, 0..5)]);
    assert_eq!(writes(&moved), (0, 1, 1));
    let applied = applied(&slices, &moved);
    assert_eq!(sizes(&applied), [5]);
}

#[test]
fn a_service_without_endpoints_keeps_an_empty_slice() {
    let empty = applied(&[], &plan(&[], vec![]));
    assert_eq!(sizes(&empty), [0]);
    assert_eq!(writes(&plan(&empty, vec![])), (0, 0, 0));
    let slices = applied(&empty, &plan(&empty, vec![group(80, 0..2)]));
    assert_eq!(sizes(&slices), [2], "the placeholder makes way");
    let emptied = plan(&slices, vec![]);
    assert_eq!(writes(&emptied), (0, 1, 0));
    assert_eq!(emptied.update[0].1["ports"], json!([]));
}

#[test]
fn labels_follow_the_owner() {
    let slices = applied(&[], &plan(&[], vec![group(80, 0..2)]));
    let mut owner = owner();
    owner.labels.insert("team".into(), "a".into());
    let changes = plan_slices(&owner, &slices, vec![group(80, 0..2)], &[Family::V4], true);
    assert_eq!(changes.update[0].1["metadata"]["labels"], json!({"team": "a"}));
    assert!(changes.update[0].1.get("endpoints").is_none());
}

#[test]
fn target_ports() {
    let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [
        {"name": "a", "ports": [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
    ]}}))
    .unwrap();
    let table: &[(Value, Option<i32>)] = &[
        (json!({"port": 80}), Some(80)),
        (json!({"port": 80, "targetPort": 8081}), Some(8081)),
        (json!({"port": 80, "targetPort": "web"}), Some(8080)),
        (json!({"port": 80, "targetPort": "web", "protocol": "UDP"}), None),
        (json!({"port": 80, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
        (json!({"port": 80, "targetPort": "nothing"}), None),
    ];
    for (port, expected) in table {
        let parsed: ServicePort = serde_json::from_value(port.clone()).unwrap();
        assert_eq!(target_port(&parsed, &pod), *expected, "{port}");
    }
}

#[test]
fn what_matters() {
    let pod = |patch: Value| -> Pod {
        let mut pod = json!({"metadata": {"uid": "u", "labels": {"app": "web"}, "annotations": {}}, "spec": {"containers": []},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": []}});
        for (pointer, value) in patch.as_object().unwrap() {
            let (parent, leaf) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[leaf] = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    };
    let table = [
        (json!({"/metadata/annotations": {"a": "b"}}), false),
        (json!({"/status/startTime": "2026-01-01T00:00:00Z"}), false),
        (json!({"/metadata/labels": {"app": "db"}}), true),
        (json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"}), true),
        (json!({"/status/conditions": [{"type": "Ready", "status": "True"}]}), true),
        (json!({"/status/phase": "Failed"}), true),
        (json!({"/status/podIP": "10.0.0.2"}), true),
        (json!({"/metadata/uid": "v"}), true),
    ];
    for (patch, expected) in table {
        assert_eq!(matters(&pod(json!({})), &pod(patch.clone())), expected, "{patch}");
    }
}
