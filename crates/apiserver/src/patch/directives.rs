//! The directives of strategic merge patch: keys of a patch that start with `$`.

use crate::status::ApiError;
use serde_json::{Map, Value};

/// `$patch`.
pub(super) const PATCH: &str = "$patch";
/// `$retainKeys`.
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

/// The directives of one object of a patch.
#[derive(Debug, Default)]
pub(super) struct Directives<'a> {
    /// Fields that stay; all others go.
    pub(super) retain: Option<&'a Vec<Value>>,
    /// Primitive values to delete, by field.
    pub(super) delete: Vec<(&'a str, &'a Vec<Value>)>,
    /// The order of a list's elements, by field.
    pub(super) order: Vec<(&'a str, &'a Vec<Value>)>,
}

/// Whether a key is a directive and no field.
pub(super) fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_PREFIX) || key.starts_with(ORDER_PREFIX)
}

impl<'a> Directives<'a> {
    /// Reads the directives of an object, but `$patch`.
    pub(super) fn read(patch: &'a Map<String, Value>) -> Result<Self, ApiError> {
        let mut found = Self::default();
        for (key, value) in patch {
            let list = |what: &str| {
                value
                    .as_array()
                    .ok_or_else(|| ApiError::bad_request(format!("invalid patch format of {what}")))
            };
            if key == RETAIN_KEYS {
                found.retain = Some(list("retainKeys")?);
            } else if let Some(field) = key.strip_prefix(DELETE_PREFIX) {
                found.delete.push((field, list("primitive list")?));
            } else if let Some(field) = key.strip_prefix(ORDER_PREFIX) {
                found.order.push((field, list("setElementOrder list")?));
            }
        }
        Ok(found)
    }

    /// The order that is asked for a field.
    pub(super) fn order_of(&self, field: &str) -> Option<&'a Vec<Value>> {
        self.order.iter().find(|(f, _)| *f == field).map(|(_, list)| *list)
    }

    /// `$retainKeys`: drops what is not to stay; a patch may only set what stays.
    pub(super) fn retain(
        &self,
        object: &mut Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        let Some(keys) = self.retain else { return Ok(()) };
        let stays = |key: &str| keys.iter().any(|k| k.as_str() == Some(key));
        if patch.iter().any(|(key, value)| !is_directive(key) && !value.is_null() && !stays(key)) {
            return Err(ApiError::bad_request("invalid patch format of retainKeys"));
        }
        object.retain(|key, _| stays(key));
        Ok(())
    }
}

/// A copy of what a patch adds, without directives and, in objects, nulls.
pub(super) fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| !is_directive(key) && !value.is_null())
                .map(|(key, value)| (key.clone(), without_directives(value)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(
            list.iter()
                .filter(|element| !matches!(element.get(PATCH).and_then(Value::as_str), Some("delete")))
                .filter(|element| !is_bare_directive(element))
                .map(without_directives)
                .collect(),
        ),
        other => other.clone(),
    }
}

/// `{"$patch": "replace"}` as a list's element.
pub(super) fn is_bare_directive(element: &Value) -> bool {
    element.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH))
}
