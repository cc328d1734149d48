//! Roles and bindings (`pkg/apis/rbac/validation`).

use super::access::{at, default, drop_nulls, has, items, list, set, strings, text};
use super::{Part, Strategy, format};
use crate::kinds::RBAC;
use crate::status::FieldError;
use serde_json::{Value, json};

/// The strategy of Roles.
pub(super) struct Role;

impl Strategy for Role {
    fn default(&self, object: &mut Value) {
        role_defaults(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        rules(object, true)
    }
}

/// The strategy of ClusterRoles.
pub(super) struct ClusterRole;

impl Strategy for ClusterRole {
    fn default(&self, object: &mut Value) {
        role_defaults(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut wrong = rules(object, false);
        let aggregation = at(object, &["aggregationRule"]);
        if !aggregation.is_null() && list(aggregation, "clusterRoleSelectors").is_empty() {
            let field = "aggregationRule.clusterRoleSelectors";
            wrong.push(FieldError::required(
                field,
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            ));
        }
        wrong
    }
}

fn role_defaults(object: &mut Value) {
    drop_nulls(object);
    if !has(object, "rules") {
        set(object, "rules", json!([]));
    }
}

fn rules(role: &Value, namespaced: bool) -> Vec<FieldError> {
    let each = list(role, "rules").iter().enumerate();
    each.flat_map(|(i, one)| rule(&format!("rules[{i}]"), one, namespaced)).collect()
}

fn rule(field: &str, rule: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let empty = |key: &str| strings(rule, key).is_empty();
    let required = |key: &str, why: &str| FieldError::required(format!("{field}.{key}"), why);
    if empty("verbs") {
        wrong.push(required("verbs", "verbs must contain at least one value"));
    }
    if !empty("nonResourceURLs") {
        let at_urls = format!("{field}.nonResourceURLs");
        let shown = at(rule, &["nonResourceURLs"]);
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            wrong.push(FieldError::invalid(&at_urls, shown, why));
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            wrong.push(FieldError::invalid(&at_urls, shown, why));
        }
        return wrong;
    }
    if empty("apiGroups") {
        wrong.push(required("apiGroups", "resource rules must supply at least one api group"));
    }
    if empty("resources") {
        wrong.push(required("resources", "resource rules must supply at least one resource"));
    }
    wrong
}

/// The strategy of RoleBindings and ClusterRoleBindings.
pub(super) struct Binding;

impl Strategy for Binding {
    fn default(&self, object: &mut Value) {
        drop_nulls(object);
        if let Some(role) = object.get_mut("roleRef") {
            default(role, "apiGroup", RBAC);
        }
        for subject in items(object, "subjects") {
            if matches!(text(subject, "kind"), "User" | "Group") {
                default(subject, "apiGroup", RBAC);
            }
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let role = at(object, &["roleRef"]);
        let namespaced = has(at(object, &["metadata"]), "namespace");
        let kinds: &[&str] = if namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
        let mut wrong = Vec::new();
        if text(role, "apiGroup") != RBAC {
            wrong.push(format::not_supported("roleRef.apiGroup", text(role, "apiGroup"), &[RBAC]));
        }
        wrong.extend(format::one_of("roleRef.kind", text(role, "kind"), kinds));
        if text(role, "name").is_empty() {
            wrong.push(FieldError::required("roleRef.name", ""));
        }
        let subjects = list(object, "subjects").iter().enumerate();
        wrong.extend(subjects.flat_map(|(i, one)| subject(&format!("subjects[{i}]"), one)));
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part) -> Vec<FieldError> {
        let mut wrong = self.validate(new);
        let role = |o: &Value| at(o, &["roleRef"]).clone();
        if role(new) != role(old) {
            wrong.push(FieldError::invalid("roleRef", &role(new), "cannot change roleRef"));
        }
        wrong
    }
}

fn subject(field: &str, subject: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        wrong.push(FieldError::required(format!("{field}.name"), ""));
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                wrong.extend(format::at_field(&format!("{field}.name"), name, format::dns_subdomain(name)));
            }
            if !group.is_empty() {
                wrong.push(format::not_supported(&format!("{field}.apiGroup"), group, &[""]));
            }
            if text(subject, "namespace").is_empty() {
                wrong.push(FieldError::required(format!("{field}.namespace"), ""));
            }
        }
        "User" | "Group" if group != RBAC => {
            wrong.push(format::not_supported(&format!("{field}.apiGroup"), group, &[RBAC]));
        }
        "User" | "Group" => {}
        kind => {
            let kinds = ["ServiceAccount", "User", "Group"];
            wrong.push(format::not_supported(&format!("{field}.kind"), kind, &kinds));
        }
    }
    wrong
}
