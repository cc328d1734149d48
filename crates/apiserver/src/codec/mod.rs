//! Request bodies to objects: JSON, YAML and Kubernetes' protobuf, checked and brought into canonical form by the schema.
//!
//! Canonical form is what Kubernetes' typed decode and encode make of an object: unknown fields and nulls are gone, zeros of
//! fields that are not pointers too, quantities and times are written one way. Invariant: no input makes it panic.

mod conform;
mod json;
mod leaf;
pub mod protobuf;
mod quantity;
mod wire;

use crate::schema;
use crate::status::{ApiError, FieldError, FieldErrorKind};
use serde_json::Value;

pub(crate) use conform::Outcome;
pub use quantity::canonical as canonical_quantity;

/// What to do about unknown and duplicate fields (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so in a `Warning:` header each.
    Warn,
    /// Refuse the request.
    Strict,
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object in canonical form, with `apiVersion` and `kind`.
    pub object: Value,
    /// Texts for `Warning:` headers.
    pub warnings: Vec<String>,
}

/// Decodes a body that should hold an object of the given kind. `content_type` may have parameters; empty means JSON.
///
/// # Errors
/// 415 for another content type; 400 for a body that does not parse, is of another kind, has fields of the wrong type or, if
/// `validation` is strict, unknown or duplicate fields.
pub fn decode(
    content_type: &str,
    body: &[u8],
    group: &str,
    version: &str,
    kind: &str,
    validation: FieldValidation,
) -> Result<Decoded, ApiError> {
    let expected = Gvk { group, version, kind };
    let (mut object, duplicates) = match media_type(content_type) {
        "" | "application/json" => json::from_json(body).map_err(|e| unrecognized(kind, &e, body))?,
        "application/yaml" => json::from_yaml(body).map_err(|e| unrecognized(kind, &e, body))?,
        "application/vnd.kubernetes.protobuf" => (
            protobuf::decode(body, group, version, kind).map_err(|e| unrecognized(kind, &e, body))?,
            Vec::new(),
        ),
        _ => return Err(unsupported_media_type()),
    };
    identify(&mut object, &expected, body)?;
    let mut outcome = run(&mut object, &expected).map_err(|e| cannot_be_handled(&expected, &e))?;
    outcome.strict.extend(duplicates);
    let warnings = outcome.warnings(validation).map_err(|e| cannot_be_handled(&expected, &e))?;
    Ok(Decoded { object, warnings })
}

/// Parses a configuration for server-side apply, YAML or JSON, and says which fields come twice.
///
/// # Errors
/// 400 for a body that does not parse or is no object.
pub(crate) fn parse_configuration(body: &[u8]) -> Result<(Value, Vec<String>), ApiError> {
    // JSON is the form that clients send most, and cheaper to read
    let parsed = json::from_json(body).or_else(|_| json::from_yaml(body));
    let (object, duplicates) =
        parsed.map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if object.is_object() {
        return Ok((object, duplicates));
    }
    let what = leaf::go_kind(&object);
    Err(ApiError::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
    )))
}

/// Checks the result of a patch without changing it: see [`conform`].
///
/// # Errors
/// As [`conform`].
pub fn check(
    group: &str,
    version: &str,
    kind: &str,
    object: &Value,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    conform(group, version, kind, &mut object.clone(), validation)
}

/// Checks the result of a patch and brings it into canonical form; returns the texts for `Warning:` headers.
///
/// # Errors
/// 422 `patch: Invalid value`, as Kubernetes says it, for wrong types and, if `validation` is strict, unknown fields.
pub fn conform(
    group: &str,
    version: &str,
    kind: &str,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    let before = object.to_string();
    let expected = Gvk { group, version, kind };
    let result = run(object, &expected).and_then(|outcome| outcome.warnings(validation));
    result.map_err(|error| {
        let value = Value::String(before);
        ApiError::invalid("", "", "", &[FieldError::new(FieldErrorKind::Invalid, "patch", &value, error)])
    })
}

fn run(object: &mut Value, expected: &Gvk<'_>) -> Result<Outcome, String> {
    match schema::table().kind(expected.group, expected.version, expected.kind) {
        Some(id) => conform::conform(object, id),
        None => Ok(Outcome::default()),
    }
}

struct Gvk<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

impl Gvk<'_> {
    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// 415 with the media types that [`decode`] accepts.
fn unsupported_media_type() -> ApiError {
    let accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    ApiError::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        ),
    )
}

fn unrecognized(kind: &str, error: &str, body: &[u8]) -> ApiError {
    let summary = summarize(body);
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {error} ({summary})"
    ))
}

fn cannot_be_handled(expected: &Gvk<'_>, error: &str) -> ApiError {
    let Gvk { version, kind, .. } = expected;
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {error}"))
}

/// The first bytes of a body: text if it looks like JSON, else hexadecimal.
fn summarize(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = &body[..body.len().min(SHOWN)];
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{more}", head.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

/// Compares `apiVersion` and `kind` with what the request is about, and fills in what is missing.
fn identify(object: &mut Value, expected: &Gvk<'_>, body: &[u8]) -> Result<(), ApiError> {
    let Some(map) = object.as_object_mut() else {
        let what = leaf::go_kind(object);
        let error = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {what} into Go value of type struct"
        );
        return Err(unrecognized(expected.kind, &error, body));
    };
    for name in ["apiVersion", "kind"] {
        if let Some(other) = map.get(name).filter(|v| !v.is_string() && !v.is_null()) {
            let what = leaf::go_kind(other);
            let error = format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {what} into Go struct field .{name} of type string"
            );
            return Err(unrecognized(expected.kind, &error, body));
        }
    }
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let wanted = expected.api_version();
    // Options are registered in every group.
    if expected.kind != "DeleteOptions" || kind != expected.kind {
        if !kind.is_empty() && kind != expected.kind {
            return Err(other_kind(&api_version, &kind, expected));
        }
        if !api_version.is_empty() && api_version != wanted {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({wanted})"
            )));
        }
        map.insert("apiVersion".to_owned(), Value::String(wanted));
        map.insert("kind".to_owned(), Value::String(expected.kind.to_owned()));
    }
    Ok(())
}

fn other_kind(api_version: &str, kind: &str, expected: &Gvk<'_>) -> ApiError {
    let wanted = expected.api_version();
    let api_version = if api_version.is_empty() { &wanted } else { api_version };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let wanted_kind = expected.kind;
    ApiError::bad_request(if schema::table().kind(group, version, kind).is_some() {
        let internal = if expected.group.is_empty() {
            "core"
        } else {
            expected.group.split('.').next().unwrap_or_default()
        };
        format!(
            "{kind} in version \"{version}\" cannot be handled as a {wanted_kind}: converting ({version}.{kind}) to ({internal}.{wanted_kind}): unknown conversion"
        )
    } else {
        format!(
            "{kind} in version \"{version}\" cannot be handled as a {wanted_kind}: no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    })
}

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod tests;
