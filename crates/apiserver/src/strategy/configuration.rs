//! ConfigMaps and Secrets (`ValidateConfigMap`, `ValidateSecret`).

use super::access::{at, default, drop_nulls, has, is_zero, object, pairs, remove, set, text};
use super::{Part, Strategy, format};
use crate::status::{FieldError, FieldErrorKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// All values together, in bytes.
const SIZE_MAX: usize = 1024 * 1024;

/// The strategy of ConfigMaps.
pub(super) struct ConfigMap;

impl Strategy for ConfigMap {
    fn default(&self, object: &mut Value) {
        fill_nulls(object, "data");
        drop_nulls(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut wrong = keys(object, "data");
        let mut size = 0;
        for (key, value) in pairs(object, "data") {
            if at(object, &["binaryData"]).get(key).is_some() {
                let why = "duplicate of key present in binaryData";
                wrong.push(FieldError::invalid(format!("data[{key}]"), &json!(key), why));
            }
            size += value.as_str().map_or(0, str::len);
        }
        wrong.extend(keys(object, "binaryData"));
        size += pairs(object, "binaryData").map(|(_, v)| decoded_size(v)).sum::<usize>();
        wrong.extend(too_large("", size));
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part) -> Vec<FieldError> {
        let mut wrong = immutable(new, old, &["data", "binaryData"]);
        wrong.extend(self.validate(new));
        wrong
    }
}

/// The strategy of Secrets.
pub(super) struct Secret;

impl Strategy for Secret {
    fn default(&self, secret: &mut Value) {
        fill_nulls(secret, "data");
        fill_nulls(secret, "stringData");
        drop_nulls(secret);
        default(secret, "type", "Opaque");
        let Some(plain) = secret.get("stringData").and_then(Value::as_object).cloned() else { return };
        remove(secret, "stringData");
        if plain.is_empty() {
            return;
        }
        let Some(data) = object(secret, "data") else { return };
        for (key, value) in plain {
            set(data, &key, STANDARD.encode(value.as_str().unwrap_or_default()));
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut wrong = keys(object, "data");
        let mut size = 0;
        for (key, value) in pairs(object, "data") {
            if value.as_str().is_none_or(|text| STANDARD.decode(text).is_err()) {
                wrong.push(FieldError::invalid(format!("data[{key}]"), value, "must be base64"));
            }
            size += decoded_size(value);
        }
        wrong.extend(too_large("data", size));
        wrong.extend(by_type(object));
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part) -> Vec<FieldError> {
        let mut wrong: Vec<FieldError> =
            format::immutable("type", at(new, &["type"]), at(old, &["type"])).into_iter().collect();
        wrong.extend(immutable(new, old, &["data"]));
        wrong.extend(self.validate(new));
        wrong
    }
}

/// A key without a value (`KEY:` in YAML) has the empty one.
fn fill_nulls(object: &mut Value, of: &str) {
    let values =
        object.get_mut(of).and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut());
    values.filter(|value| value.is_null()).for_each(|value| *value = json!(""));
}

fn keys(object: &Value, of: &str) -> Vec<FieldError> {
    pairs(object, of)
        .flat_map(|(key, _)| format::at_field(&format!("{of}[{key}]"), key, format::config_key(key)))
        .collect()
}

fn decoded_size(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4)
}

fn too_large(field: &str, size: usize) -> Option<FieldError> {
    (size > SIZE_MAX).then(|| FieldError {
        field: field.to_owned(),
        kind: FieldErrorKind::TooLong,
        value: String::new(),
        detail: format!("may not be more than {SIZE_MAX} bytes"),
    })
}

/// What `immutable: true` forbids.
fn immutable(new: &Value, old: &Value, data: &[&str]) -> Vec<FieldError> {
    let is_set = |o: &Value| at(o, &["immutable"]).as_bool().unwrap_or_default();
    if !is_set(old) {
        return Vec::new();
    }
    let why = "field is immutable when `immutable` is set";
    let changed = |key: &&&str| {
        let (n, o) = (at(new, &[key]), at(old, &[key]));
        n != o && !(is_zero(n) && is_zero(o))
    };
    let unset = (!is_set(new)).then(|| FieldError::forbidden("immutable", why));
    unset.into_iter().chain(data.iter().filter(changed).map(|key| FieldError::forbidden(*key, why))).collect()
}

fn by_type(secret: &Value) -> Vec<FieldError> {
    let data = at(secret, &["data"]);
    let missing = |keys: &[&str]| -> Vec<FieldError> {
        let absent = keys.iter().filter(|key| !has(data, key));
        absent.map(|key| FieldError::required(format!("data[{key}]"), "")).collect()
    };
    match text(secret, "type") {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            let given = !text(at(secret, &["metadata", "annotations"]), name).is_empty();
            let error = || FieldError::required(format!("metadata.annotations[{name}]"), "");
            (!given).then(error).into_iter().collect()
        }
        "kubernetes.io/dockercfg" => json_at(data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_at(data, ".dockerconfigjson"),
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        "kubernetes.io/ssh-auth" => missing(&["ssh-privatekey"]),
        "kubernetes.io/basic-auth" if !has(data, "username") && !has(data, "password") => {
            missing(&["username", "password"])
        }
        _ => Vec::new(),
    }
}

fn json_at(data: &Value, key: &str) -> Vec<FieldError> {
    let field = format!("data[{key}]");
    let Some(text) = data.get(key).and_then(Value::as_str) else {
        return vec![FieldError::required(field, "")];
    };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(_) => Vec::new(),
        Err(error) => {
            vec![FieldError::invalid(field, &json!("<secret contents redacted>"), error.to_string())]
        }
    }
}
