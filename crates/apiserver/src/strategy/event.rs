//! Events: what they are about lies in their own namespace (`pkg/apis/core/validation/events.go`).

use super::Strategy;
use super::access::{at, text};
use crate::registry::object::meta;
use crate::status::FieldError;
use serde_json::{Value, json};

/// The strategy of Events, stored as core/v1.
pub(super) struct Event;

impl Strategy for Event {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let about = text(at(object, &["involvedObject"]), "namespace");
        let own = meta(object, "namespace");
        // What is in no namespace has its events in `default`.
        let fits = about == own || (about.is_empty() && matches!(own, "default" | "kube-system"));
        let error = || {
            FieldError::invalid("involvedObject.namespace", &json!(about), "does not match event.namespace")
        };
        (!fits).then(error).into_iter().collect()
    }

    fn validate_update(&self, _new: &Value, _old: &Value, _part: super::Part) -> Vec<FieldError> {
        Vec::new()
    }
}
