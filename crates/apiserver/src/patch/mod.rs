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

/// The media types that [`apply`] accepts. Server-side apply (`application/apply-patch+yaml`) is a merge of another sort:
/// it needs the field manager and gives conflicts, and will stand beside this function.
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
