//! Total access to JSON: reading what is not there gives nothing, writing into what is no object does nothing.
//!
//! Go's zero values and nulls count as absent, as they do after Kubernetes' decoding.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at a path of keys; null where there is none.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |v, key| v.get(key).unwrap_or(&NULL))
}

/// The string at a key; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a key; empty where there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of the list at a key.
pub(crate) fn strings<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    list(value, key).iter().filter_map(Value::as_str).collect()
}

/// The pairs of the object at a key.
pub(crate) fn pairs<'a>(
    value: &'a Value,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// The integer at a key; 0 where there is none.
pub(crate) fn int(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// Is something other than null at a key?
pub(crate) fn has(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|v| !v.is_null())
}

/// Is it a value that Go leaves out: null, `""`, 0, false, `[]`, `{}`?
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// The object at a key, made where there is none; `None` if something else is there.
pub(crate) fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    let slot = value.as_object_mut()?.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.is_object().then_some(slot)
}

/// The items of the list at a key, to be changed.
pub(crate) fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Writes a key.
pub(crate) fn set(value: &mut Value, key: &str, new: impl Into<Value>) {
    if let Some(map) = value.as_object_mut() {
        map.insert(key.to_owned(), new.into());
    }
}

/// Removes a key.
pub(crate) fn remove(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(key);
    }
}

/// Writes a key that is absent, null or the empty string.
pub(crate) fn default(value: &mut Value, key: &str, new: impl Into<Value>) {
    if !has(value, key) || value.get(key).and_then(Value::as_str) == Some("") {
        set(value, key, new);
    }
}

/// Takes a key over from another object: its value, or its absence.
pub(crate) fn keep(new: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(value) => set(new, key, value.clone()),
        None => remove(new, key),
    }
}

/// Drops zero values at the keys, as Go's `omitempty` does.
pub(crate) fn omit_empty(value: &mut Value, keys: &[&str]) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, v| !(keys.contains(&key.as_str()) && is_zero(v)));
    }
}

/// Drops every null member of every object: an explicit null is an absent field.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
