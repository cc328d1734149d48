//! Errors as Kubernetes says them: a `Status` object with code, reason, message and details.
//!
//! Texts follow `staging/src/k8s.io/apimachinery/pkg/api/errors` and `pkg/util/validation/field`.

use serde_json::{Value, json};

/// One thing that is wrong with one field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path, such as `spec.ports[0].nodePort`.
    pub field: String,
    /// What sort of error.
    pub kind: FieldErrorKind,
    /// The rendered bad value, as it stands in the message (`80`, `"x"`, `null`); empty for kinds that show none.
    pub value: String,
    /// What is wrong.
    pub detail: String,
}

/// The sorts of field errors, and with them the text and the cause's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// `Required value`.
    Required,
    /// `Invalid value`.
    Invalid,
    /// `Unsupported value`.
    NotSupported,
    /// `Duplicate value`.
    Duplicate,
    /// `Forbidden`.
    Forbidden,
    /// `Too long`.
    TooLong,
    /// `Too many`.
    TooMany,
    /// `Not found`.
    NotFound,
    /// `Internal error`.
    Internal,
}

impl FieldErrorKind {
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Required => ("Required value", "FieldValueRequired"),
            Self::Invalid => ("Invalid value", "FieldValueInvalid"),
            Self::NotSupported => ("Unsupported value", "FieldValueNotSupported"),
            Self::Duplicate => ("Duplicate value", "FieldValueDuplicate"),
            Self::Forbidden => ("Forbidden", "FieldValueForbidden"),
            Self::TooLong => ("Too long", "FieldValueTooLong"),
            Self::TooMany => ("Too many", "FieldValueTooMany"),
            Self::NotFound => ("Not found", "FieldValueNotFound"),
            Self::Internal => ("Internal error", "InternalError"),
        }
    }
}

impl FieldError {
    /// An error with a bad value.
    pub fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: &Value,
        detail: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), kind, value: value.to_string(), detail: detail.into() }
    }

    /// `Invalid value`, the commonest.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, value, detail)
    }

    /// `Required value`.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Required,
            value: String::new(),
            detail: detail.into(),
        }
    }

    /// `Forbidden`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Forbidden,
            value: String::new(),
            detail: detail.into(),
        }
    }

    /// The text without the field: `Invalid value: 80: provided port is …`.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.kind.text().0.to_owned();
        for part in [&self.value, &self.detail] {
            if !part.is_empty() {
                text.push_str(": ");
                text.push_str(part);
            }
        }
        text
    }
}

/// An error answer of the API.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, such as `NotFound`; empty where Kubernetes has none.
    pub reason: &'static str,
    /// What went wrong.
    pub message: String,
    /// `details` of the Status, or null.
    pub details: Value,
}

impl ApiError {
    /// An error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 404 for an object: `services "x" not found`.
    #[must_use]
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        Self::about(404, "NotFound", group, plural, name, &format!("\"{name}\" not found"))
    }

    /// 409 for an object that exists.
    #[must_use]
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        Self::about(409, "AlreadyExists", group, plural, name, &format!("\"{name}\" already exists"))
    }

    /// 409 for a write that lost a race or whose precondition failed.
    #[must_use]
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let mut error = Self::about(409, "Conflict", group, plural, name, "");
        error.message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(plural, group));
        error
    }

    /// 409 with the text of a lost optimistic lock.
    #[must_use]
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, plural, name, why)
    }

    /// 403 for a request that the user may not make; `why` is the authorizer's text.
    #[must_use]
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let mut error = Self::about(403, "Forbidden", group, plural, name, "");
        error.message = format!("{}{subject} is forbidden: {why}", qualified(plural, group));
        error
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", message)
    }

    /// 422 with all that is wrong with an object: `Service "x" is invalid: spec.a: …` or `[…, …]`.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.body())).collect();
        let list = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.kind.text().1, "message": e.body(), "field": e.field}))
            .collect();
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{} \"{name}\" is invalid: {list}", qualified(kind, group)),
            details: json!({"name": name, "group": group, "kind": kind, "causes": causes}),
        }
    }

    fn about(code: u16, reason: &'static str, group: &str, plural: &str, name: &str, text: &str) -> Self {
        let mut details = json!({"name": name, "group": group, "kind": plural});
        if let Some(map) = details.as_object_mut() {
            map.retain(|_, v| v.as_str() != Some(""));
        }
        Self { code, reason, message: format!("{} {text}", qualified(plural, group)), details }
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
