//! One slice as JSON: how it is created, and the patch that makes it right.

use super::diff::{Draft, SliceOwner};
use crate::{patch, recorder};
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn same_ports(a: &[EndpointPort], b: &[EndpointPort]) -> bool {
    let mut sorted = [a.to_vec(), b.to_vec()];
    for ports in &mut sorted {
        for port in ports.iter_mut() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        ports.sort_by(|x, y| (&x.name, &x.protocol, x.port).cmp(&(&y.name, &y.protocol, y.port)));
    }
    sorted[0] == sorted[1]
}

/// Ports as they are stored: `name` and `protocol` always there.
fn ports_json(ports: &[EndpointPort]) -> Value {
    ports
        .iter()
        .map(|port| {
            let mut json = json!(port);
            json["name"] = json!(port.name.as_deref().unwrap_or_default());
            json["protocol"] = json!(port.protocol.as_deref().unwrap_or("TCP"));
            json
        })
        .collect()
}

fn annotations(owner: &SliceOwner) -> BTreeMap<String, String> {
    let mut annotations = owner.annotations.clone();
    if let Some(time) = owner.trigger_time {
        annotations.insert(super::TRIGGER_TIME.to_owned(), recorder::seconds(time));
    }
    annotations
}

pub(super) fn new_slice(owner: &SliceOwner, draft: &Draft) -> Value {
    json!({
        "metadata": {
            "generateName": format!("{}-", owner.name),
            "labels": owner.labels,
            "annotations": annotations(owner),
            "ownerReferences": [owner.reference],
        },
        "addressType": draft.family.name(),
        "endpoints": draft.endpoints,
        "ports": ports_json(&draft.ports),
    })
}

pub(super) fn update(owner: &SliceOwner, current: &EndpointSlice, draft: &Draft) -> Option<Value> {
    let meta = &current.metadata;
    let mut change = json!({});
    if current.endpoints != draft.endpoints {
        change["endpoints"] = json!(draft.endpoints);
    }
    if !same_ports(current.ports.as_deref().unwrap_or_default(), &draft.ports) {
        change["ports"] = ports_json(&draft.ports);
    }
    let labels = json!(meta.labels.clone().unwrap_or_default());
    if let Some(labels) = patch::difference(&labels, &json!(owner.labels)) {
        change["metadata"]["labels"] = labels;
    }
    let mut plain = meta.annotations.clone().unwrap_or_default();
    plain.remove(super::TRIGGER_TIME);
    let changed = change != json!({}) || plain != owner.annotations;
    if !changed {
        return None;
    }
    let before = json!(meta.annotations.clone().unwrap_or_default());
    if let Some(annotations) = patch::difference(&before, &json!(annotations(owner))) {
        change["metadata"]["annotations"] = annotations;
    }
    change["metadata"]["uid"] = json!(meta.uid);
    change["metadata"]["resourceVersion"] = json!(meta.resource_version);
    Some(change)
}
