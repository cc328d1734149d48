//! From client-side to server-side apply: kubectl's annotation says what it applied before, so the fields there are its own
//! although another manager's name stands in managedFields (`managedfields/internal/lastappliedmanager.go`).

use super::collect::collect;
use super::compare::compare;
use super::form::Form;
use super::set::Set;
use serde_json::{Value, json};

/// The only manager that is upgraded.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}

/// The fields that were applied by the client and stand as applied.
pub(super) fn allowed(live: &Value, form: Form, api_version: &str) -> Set {
    let last = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last.filter(|last| last["apiVersion"] == api_version) else { return Set::default() };
    let changes = compare(Some(&last), Some(live), form.node());
    let fields = collect(&last, form.node());
    fields.difference(&changes.modified).difference(&changes.added).difference(&changes.removed)
}

/// Keeps the annotation of an object that was applied by the client, too: the client's next apply is right then.
pub(super) fn refresh(object: &mut Value, config: &Value, manager: &str) {
    if manager != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    object["metadata"]["annotations"][ANNOTATION] = json!(format!("{config}\n"));
}
