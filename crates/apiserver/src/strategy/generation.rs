//! `metadata.generation`: the number of changes of what is asked for, not of what is.

use super::Part;
use super::access::{at, int, object, set};
use serde_json::Value;

/// The first generation.
pub(super) fn start(new: &mut Value) {
    if let Some(metadata) = object(new, "metadata") {
        set(metadata, "generation", 1);
    }
}

/// Counts a change of the spec.
pub(super) fn count_spec(new: &mut Value, old: &Value, part: Part) {
    if part != Part::Status && at(new, &["spec"]) != at(old, &["spec"]) {
        count(new, old);
    }
}

/// Counts a change.
pub(super) fn count(new: &mut Value, old: &Value) {
    let next = int(at(old, &["metadata"]), "generation") + 1;
    if let Some(metadata) = object(new, "metadata") {
        set(metadata, "generation", next);
    }
}
