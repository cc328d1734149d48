//! JSON merge patch, RFC 7396.

use crate::status::ApiError;
use serde_json::{Map, Value};

/// Applies a merge patch, whose top is an object.
pub(super) fn apply(original: &Value, patch: &Value) -> Result<Value, ApiError> {
    let mut result = original.clone();
    merge(&mut result, patch);
    Ok(result)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}
