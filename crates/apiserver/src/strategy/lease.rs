//! Leases (`pkg/apis/coordination/validation`).

use super::access::at;
use super::{Strategy, format};
use crate::status::FieldError;
use serde_json::Value;

/// The strategy of Leases.
pub(super) struct Lease;

impl Strategy for Lease {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = at(object, &["spec"]);
        let duration = at(spec, &["leaseDurationSeconds"]);
        let mut wrong = Vec::new();
        if duration.as_i64().is_some_and(|seconds| seconds <= 0) {
            wrong.push(FieldError::invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"));
        }
        let transitions = at(spec, &["leaseTransitions"]).as_i64().unwrap_or_default();
        wrong.extend(format::non_negative("spec.leaseTransitions", transitions));
        wrong
    }
}
