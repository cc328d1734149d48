//! What of a Pod may change (`ValidatePodUpdate`): images, deadlines and additional tolerations.

use crate::status::FieldError;
use crate::strategy::access::{at, has, items, keep, list, remove, set};
use serde_json::{Value, json};

const REST: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// `ValidatePodUpdate`.
pub(super) fn validate(new: &Value, old: &Value) -> Vec<FieldError> {
    let (spec, before) = (at(new, &["spec"]), at(old, &["spec"]));
    let mut wrong = super::validate::pod_spec("spec", spec);
    for key in ["containers", "initContainers"] {
        if list(spec, key).len() != list(before, key).len() {
            wrong.push(FieldError::forbidden(
                format!("spec.{key}"),
                "pod updates may not add or remove containers",
            ));
            return wrong;
        }
    }
    wrong.extend(deadline(spec, before));
    let (tolerations, standing) = (list(spec, "tolerations"), list(before, "tolerations"));
    if standing.iter().any(|t| !tolerations.contains(t)) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        if !only_seconds_differ(tolerations, standing) {
            wrong.push(FieldError::forbidden("spec.tolerations", why));
        }
    }
    if masked(spec, before) != *before {
        wrong.push(FieldError::forbidden("spec", REST));
    }
    wrong
}

fn deadline(spec: &Value, before: &Value) -> Option<FieldError> {
    let field = "spec.activeDeadlineSeconds";
    let (new, old) = (at(spec, &["activeDeadlineSeconds"]), at(before, &["activeDeadlineSeconds"]));
    match (new.as_i64(), old.as_i64()) {
        (Some(n), _) if n < 1 => {
            Some(FieldError::invalid(field, new, "must be between 1 and 2147483647, inclusive"))
        }
        (Some(n), Some(o)) if n > o => {
            Some(FieldError::invalid(field, new, "must be less than or equal to previous value"))
        }
        (None, Some(_)) => Some(FieldError::invalid(
            field,
            &json!(null),
            "must not update from a positive integer to nil value",
        )),
        _ => None,
    }
}

fn only_seconds_differ(new: &[Value], old: &[Value]) -> bool {
    let bare = |t: &Value| {
        let mut t = t.clone();
        remove(&mut t, "tolerationSeconds");
        t
    };
    old.iter().all(|o| new.iter().any(|n| bare(n) == bare(o)))
}

/// The new spec with everything that may change put back.
fn masked(spec: &Value, before: &Value) -> Value {
    let mut masked = spec.clone();
    for key in ["activeDeadlineSeconds", "tolerations"] {
        keep(&mut masked, before, key);
    }
    let negative = at(before, &["terminationGracePeriodSeconds"]).as_i64().is_some_and(|s| s < 0);
    if negative && at(spec, &["terminationGracePeriodSeconds"]).as_i64() == Some(1) {
        keep(&mut masked, before, "terminationGracePeriodSeconds");
    }
    for key in ["containers", "initContainers"] {
        for (container, old) in items(&mut masked, key).zip(list(before, key)) {
            if has(container, "image") {
                set(container, "image", at(old, &["image"]).clone());
            }
        }
    }
    masked
}
