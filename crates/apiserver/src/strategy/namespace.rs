//! Namespaces: alive until their finalizer is gone (`pkg/registry/core/namespace`).

use super::access::{at, has, keep, object, set, text};
use super::{Part, Strategy};
use crate::registry::object as stored;
use crate::status::FieldError;
use serde_json::{Value, json};

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The strategy of Namespaces.
pub(super) struct Namespace;

impl Strategy for Namespace {
    fn default(&self, namespace: &mut Value) {
        let name = stored::meta(namespace, "name").to_owned();
        let labels = object(namespace, "metadata").and_then(|metadata| object(metadata, "labels"));
        if let Some(labels) = labels.filter(|_| !name.is_empty()) {
            set(labels, NAME_LABEL, name);
        }
    }

    fn prepare_create(&self, namespace: &mut Value) {
        set(namespace, "status", json!({"phase": "Active"}));
        let Some(spec) = object(namespace, "spec") else { return };
        let standing = at(spec, &["finalizers"]).as_array().cloned().unwrap_or_default();
        let kubernetes = json!("kubernetes");
        if !standing.contains(&kubernetes) {
            set(spec, "finalizers", [standing, vec![kubernetes]].concat());
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part) {
        if part == Part::Main {
            keep(new, old, "spec");
        }
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part) -> Vec<FieldError> {
        let going = has(at(new, &["metadata"]), "deletionTimestamp");
        let phase = at(new, &["status"]);
        let wrong = part == Part::Status && (text(phase, "phase") == "Terminating") != going;
        let why = if going {
            "may only be 'Terminating' if `deletionTimestamp` is not empty"
        } else {
            "may only be 'Active' if `deletionTimestamp` is empty"
        };
        let error = || FieldError::invalid("status.Phase", at(phase, &["phase"]), why);
        wrong.then(error).into_iter().collect()
    }
}
