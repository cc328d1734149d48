//! Nodes (`ValidateNode`, `ValidateNodeUpdate`).

use super::access::{at, list, strings, text};
use super::{Part, Strategy, format};
use crate::status::FieldError;
use serde_json::Value;
use std::collections::BTreeSet;

const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "PreferNoSchedule"];

/// The strategy of Nodes.
pub(super) struct Node;

impl Strategy for Node {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = at(object, &["spec"]);
        let mut wrong = taints(spec);
        for (i, cidr) in strings(spec, "podCIDRs").iter().enumerate() {
            wrong.extend(format::cidr(&format!("spec.podCIDRs[{i}]"), cidr));
        }
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        let mut wrong = self.validate(new);
        if part == Part::Status {
            return wrong;
        }
        let (spec, before) = (at(new, &["spec"]), at(old, &["spec"]));
        let standing = strings(before, "podCIDRs");
        if !standing.is_empty() && standing != strings(spec, "podCIDRs") {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            wrong.push(FieldError::forbidden("spec.podCIDRs", why));
        }
        let provider = text(before, "providerID");
        if !provider.is_empty() && provider != text(spec, "providerID") {
            let why = "node updates may not change providerID except from \"\" to valid";
            wrong.push(FieldError::forbidden("spec.providerID", why));
        }
        wrong
    }
}

fn taints(spec: &Value) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (i, taint) in list(spec, "taints").iter().enumerate() {
        let field = format!("metadata.taints[{i}]");
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        wrong.extend(format::at_field(&format!("{field}.key"), key, format::qualified_name(key)));
        let value = text(taint, "value");
        wrong.extend(format::at_field(&format!("{field}.value"), value, format::label_value(value)));
        wrong.extend(format::required_one_of(&format!("{field}.effect"), effect, EFFECTS));
        if !seen.insert((key, effect)) {
            let mut error = format::duplicate(&field, taint);
            error.detail = "taints must be unique by key and effect pair".into();
            wrong.push(error);
        }
    }
    wrong
}
