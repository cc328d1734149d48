//! What the query of a write says: `fieldValidation`, `fieldManager`, `force`.

use super::Request;
use crate::codec::FieldValidation;
use crate::kinds::Subresource;
use crate::managed::{UNKNOWN, Writer};
use crate::registry::Location;
use crate::status::{ApiError, FieldError, FieldErrorKind};
use serde_json::json;

/// The longest name of a field manager, in bytes.
const MANAGER_MAX: usize = 128;

/// What to do about unknown fields; `Warn` unless the request says otherwise.
pub(super) fn validation(request: &Request) -> Result<FieldValidation, ApiError> {
    match request.query.text("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        "Ignore" => Ok(FieldValidation::Ignore),
        other => {
            let why = "supported values: \"Ignore\", \"Strict\", \"Warn\"";
            Err(invalid(
                request,
                &[FieldError::new(FieldErrorKind::NotSupported, "fieldValidation", &json!(other), why)],
            ))
        }
    }
}

/// Who writes: `fieldManager`, or the first part of the User-Agent.
///
/// # Errors
/// 422 for a name that is too long or cannot be printed, for an apply without one, and for `force` without an apply.
pub(super) fn writer<'a>(
    request: &Request,
    at: &Location<'a>,
    below: Option<Subresource>,
    applied: bool,
) -> Result<Writer<'a>, ApiError> {
    let given = request.query.text("fieldManager");
    let mut errors = Vec::new();
    if applied && given.is_empty() {
        errors.push(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if !applied && request.query.optional_flag("force").is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if given.len() > MANAGER_MAX {
        errors.push(FieldError {
            field: "fieldManager".to_owned(),
            kind: FieldErrorKind::TooLong,
            value: String::new(),
            detail: format!("may not be more than {MANAGER_MAX} bytes"),
        });
    }
    for (place, c) in given.char_indices().filter(|(_, c)| c.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {place})", u32::from(c));
        errors.push(FieldError::invalid("fieldManager", &json!(given), why));
    }
    if !errors.is_empty() {
        return Err(invalid(request, &errors));
    }
    let manager = if given.is_empty() { from_agent(request) } else { given.to_owned() };
    let subresource = below.map(Subresource::name).unwrap_or_default();
    Ok(Writer { manager, subresource, kind: at.kind, version: at.version })
}

/// `kubectl` of `kubectl/v1.32.3 (linux/amd64) kubernetes/32cc146`.
fn from_agent(request: &Request) -> String {
    let agent = request.header("user-agent").split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in agent.chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > MANAGER_MAX {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { UNKNOWN.to_owned() } else { name }
}

fn invalid(request: &Request, errors: &[FieldError]) -> ApiError {
    let options = match request.method.as_str() {
        "PATCH" => "PatchOptions",
        "PUT" => "UpdateOptions",
        _ => "CreateOptions",
    };
    ApiError::invalid("meta.k8s.io", options, "", errors)
}
