//! Patches: JSON patch (RFC 6902), JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch.
//!
//! Pure: an object and a patch give an object or an error. The result still has to pass [`crate::codec::conform`].

mod directives;
mod json;
mod merge;
mod order;
mod strategic;

use crate::schema;
use crate::status::ApiError;
use serde_json::{Value, json};

/// Server-side apply, a merge of another sort: see `managed`.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// The media types that [`apply`] accepts.
pub const MEDIA_TYPES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// Applies a patch to an object of the given kind.
///
/// # Errors
/// 415 for another content type, 400 for a patch that does not parse, 422 for one that does not apply.
pub fn apply(
    content_type: &str,
    group: &str,
    version: &str,
    kind: &str,
    original: &Value,
    patch: &[u8],
) -> Result<Value, ApiError> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => json::apply(original, patch),
        "application/merge-patch+json" => merge::apply(original, &parse(patch)?),
        "application/strategic-merge-patch+json" => {
            let id = schema::table().kind(group, version, kind);
            let id = id.ok_or_else(|| unsupported_media_type(&MEDIA_TYPES[..2]))?;
            strategic::apply(original, &parse(patch)?, id)
        }
        _ => Err(unsupported_media_type(&MEDIA_TYPES)),
    }
}

/// Whether a body is a configuration for server-side apply.
pub(crate) fn is_apply(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == APPLY
}

/// Whether a body is any patch.
///
/// # Errors
/// 415.
pub(crate) fn check_media_type(content_type: &str) -> Result<(), ApiError> {
    let [json, merge, strategic] = MEDIA_TYPES;
    let all = [json, merge, strategic, APPLY];
    let given = content_type.split(';').next().unwrap_or_default().trim();
    if all.contains(&given) { Ok(()) } else { Err(unsupported_media_type(&all)) }
}

fn parse(patch: &[u8]) -> Result<Value, ApiError> {
    let value: Value = serde_json::from_slice(patch)
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if value.is_object() { Ok(value) } else { Err(ApiError::bad_request("Invalid JSON document")) }
}

/// 415 with the patch media types of the kind.
fn unsupported_media_type(accepted: &[&str]) -> ApiError {
    let accepted = accepted.join(", ");
    ApiError::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        ),
    )
}

/// 422 for a patch that does not fit its object. Kubernetes' message says nothing; the cause does.
fn does_not_apply(why: &str) -> ApiError {
    let mut error =
        ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request");
    error.details =
        json!({"causes": [{"reason": "UnexpectedServerResponse", "message": why, "field": "patch"}]});
    error
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
