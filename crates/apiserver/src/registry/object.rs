//! Objects as they lie in the store, and what every object has: `metadata`.
//!
//! A stored value is JSON whose first three fields are `apiVersion`, `kind` and `metadata`, without
//! `metadata.resourceVersion` (that is the entry's revision). So a stored object is served without being parsed: the
//! resourceVersion is spliced in behind `"metadata":{`.

use crate::status::ApiError;
use bytes::Bytes;
use sealane_storage::{Entry, Revision};
use serde_json::{Map, Value, json};

const HEAD: &[u8] = b"{\"apiVersion\":\"";
const METADATA: &[u8] = b",\"metadata\":{";
/// Group, version and kind fit in this many bytes.
const HEAD_MAX: usize = 256;

/// The bytes to store for an object.
#[must_use]
pub(crate) fn encode(object: &Value) -> Bytes {
    let empty = Map::new();
    let fields = object.as_object().unwrap_or(&empty);
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"apiVersion\":");
    write(&mut out, &object["apiVersion"]);
    out.extend_from_slice(b",\"kind\":");
    write(&mut out, &object["kind"]);
    out.extend_from_slice(METADATA);
    let metadata = object["metadata"].as_object().unwrap_or(&empty);
    write_fields(&mut out, metadata.iter().filter(|(name, _)| *name != "resourceVersion"), true);
    out.push(b'}');
    let rest = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    write_fields(&mut out, rest, false);
    out.push(b'}');
    out.into()
}

fn write_fields<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
    mut first: bool,
) {
    for (name, value) in fields {
        if !first {
            out.push(b',');
        }
        first = false;
        serde_json::to_writer(&mut *out, name).expect("a string is written to memory");
        out.push(b':');
        write(out, value);
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("JSON is written to memory");
}

/// The object of an entry, with its resourceVersion.
///
/// # Errors
/// A stored value that is not JSON.
pub(crate) fn decode(entry: &Entry) -> Result<Value, ApiError> {
    let mut object: Value = serde_json::from_slice(&entry.value)
        .map_err(|e| ApiError::internal(format_args!("reading {} from the store: {e}", entry.key)))?;
    set_revision(&mut object, entry.mod_revision);
    Ok(object)
}

/// Sets `metadata.resourceVersion`.
pub(crate) fn set_revision(object: &mut Value, revision: Revision) {
    object["metadata"]["resourceVersion"] = json!(revision.to_string());
}

/// Appends a stored object with its resourceVersion, as `api_version`, which differs from the stored one only in name.
pub(crate) fn splice(out: &mut Vec<u8>, value: &[u8], revision: Revision, api_version: &str) {
    let window = &value[..value.len().min(HEAD_MAX)];
    let metadata = window.windows(METADATA.len()).position(|w| w == METADATA);
    let kind = window.windows(9).position(|w| w == b"\",\"kind\":");
    let (Some(metadata), Some(kind), true) = (metadata, kind, value.starts_with(HEAD)) else {
        return splice_slowly(out, value, revision, api_version);
    };
    let body = metadata + METADATA.len();
    if kind > metadata || value.get(body) == Some(&b'}') {
        return splice_slowly(out, value, revision, api_version);
    }
    out.extend_from_slice(HEAD);
    out.extend_from_slice(api_version.as_bytes());
    out.extend_from_slice(&value[kind..body]);
    out.extend_from_slice(format!("\"resourceVersion\":\"{revision}\",").as_bytes());
    out.extend_from_slice(&value[body..]);
}

/// For values that somebody else laid down in another order of fields.
fn splice_slowly(out: &mut Vec<u8>, value: &[u8], revision: Revision, api_version: &str) {
    let mut object: Value = serde_json::from_slice(value).unwrap_or(Value::Null);
    set_revision(&mut object, revision);
    object["apiVersion"] = json!(api_version);
    write(out, &object);
}

/// A field of `metadata` that is a string; empty if absent.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(|f| f.as_str().map(str::to_owned)).collect()
}

/// Replaces `metadata.finalizers`; an empty list is left out.
pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    let value = if finalizers.is_empty() { Value::Null } else { json!(finalizers) };
    set_meta(object, "finalizers", value);
}

/// Sets a field of `metadata`; null removes it.
pub(crate) fn set_meta(object: &mut Value, field: &str, value: Value) {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if value.is_null() {
            metadata.remove(field);
        } else {
            metadata.insert(field.to_owned(), value);
        }
    }
}

/// Removes a field of `metadata` and returns it; null if there is none.
pub(crate) fn take_meta(object: &mut Value, field: &str) -> Value {
    object["metadata"].as_object_mut().and_then(|metadata| metadata.remove(field)).unwrap_or(Value::Null)
}

/// Whether the object is being deleted.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The time as Kubernetes writes it: RFC 3339 in UTC, whole seconds.
#[must_use]
pub(crate) fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A new uid: a random UUID (RFC 9562, version 4).
#[must_use]
pub(crate) fn new_uid() -> String {
    let mut b: [u8; 16] = rand::random();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex: String = b.iter().map(|x| format!("{x:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spliced(value: &[u8], api_version: &str) -> Value {
        let mut out = Vec::new();
        splice(&mut out, value, 7, api_version);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn splicing_equals_parsing() {
        let object = json!({"apiVersion": "v1", "kind": "Service", "addressType": "x", "spec": {"a": [1, "\"}"]},
            "metadata": {"name": "web", "resourceVersion": "3", "labels": {",\"metadata\":{": "b"}}});
        let stored = encode(&object);
        assert!(!stored.windows(15).any(|w| w == b"resourceVersion"));
        let mut expected = object.clone();
        set_revision(&mut expected, 7);
        assert_eq!(spliced(&stored, "v1"), expected);
        // in any order of fields
        assert_eq!(spliced(&serde_json::to_vec(&object).unwrap(), "v1"), expected);
        expected["apiVersion"] = json!("networking.k8s.io/v1beta1");
        assert_eq!(spliced(&stored, "networking.k8s.io/v1beta1"), expected);
    }

    #[test]
    fn uids_are_version_4() {
        let uid = new_uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert_ne!(uid, new_uid());
    }
}
