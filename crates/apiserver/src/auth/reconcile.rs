//! A cluster's own roles and bindings, brought up to date when it starts
//! (`component-helpers/auth/rbac/reconciliation`).
//!
//! What is missing is added; what an administrator added stays. An object with the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone.

use super::rule::Rule;
use crate::strategy::access::{at, list, text};
use serde_json::{Value, json};

const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What becomes of an object that stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Reconciled {
    /// It is as it should be, or nobody's business.
    Same,
    /// It becomes this.
    Update(Value),
    /// It refers to another role, which may not change: it is made anew.
    Recreate,
}

/// Compares what stands with what should.
pub(crate) fn reconcile(standing: &Value, wanted: &Value) -> Reconciled {
    if text(at(standing, &["metadata", "annotations"]), AUTO_UPDATE) == "false" {
        return Reconciled::Same;
    }
    if at(standing, &["roleRef"]) != at(wanted, &["roleRef"]) {
        return Reconciled::Recreate;
    }
    let mut new = standing.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in at(wanted, &["metadata", field]).as_object().into_iter().flatten() {
            if at(standing, &["metadata", field, key]).is_null() {
                new["metadata"][field][key] = value.clone();
            }
        }
    }
    add(&mut new, "rules", missing_rules(standing, wanted));
    let subjects = list(standing, "subjects");
    let missing = list(wanted, "subjects").iter().filter(|subject| !subjects.contains(subject));
    add(&mut new, "subjects", missing.cloned().collect());
    let aggregation = at(wanted, &["aggregationRule"]);
    if !aggregation.is_null() && at(standing, &["aggregationRule"]).is_null() {
        new["aggregationRule"] = aggregation.clone();
    }
    if new == *standing { Reconciled::Same } else { Reconciled::Update(new) }
}

fn add(object: &mut Value, field: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    if !object[field].is_array() {
        object[field] = json!([]);
    }
    if let Some(list) = object[field].as_array_mut() {
        list.extend(more);
    }
}

/// The rules that the standing ones do not cover.
fn missing_rules(standing: &Value, wanted: &Value) -> Vec<Value> {
    let own = Rule::parse_all(standing);
    let covered = |piece: &Rule| own.iter().any(|rule| rule.covers(piece));
    let rules = list(wanted, "rules").iter();
    rules.filter(|rule| !Rule::parse(rule).pieces().iter().all(covered)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verb: &str) -> Value {
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": [verb]})
    }

    #[test]
    fn missing_rules_are_added() {
        let wanted = json!({"metadata": {"labels": {"a": "b"}}, "rules": [rule("get"), rule("list")]});
        assert_eq!(reconcile(&wanted, &wanted), Reconciled::Same);
        let standing = json!({"metadata": {"labels": {"mine": "1"}}, "rules": [rule("get"), rule("delete")]});
        let new = json!({"metadata": {"labels": {"mine": "1", "a": "b"}},
            "rules": [rule("get"), rule("delete"), rule("list")]});
        assert_eq!(reconcile(&standing, &wanted), Reconciled::Update(new.clone()));
        assert_eq!(reconcile(&new, &wanted), Reconciled::Same);
        let everything = json!({"metadata": {"labels": {"a": "c"}}, "rules": [rule("*")]});
        assert_eq!(reconcile(&everything, &wanted), Reconciled::Same);
        let emptied = json!({"metadata": {"labels": {"a": "b"}}});
        let Reconciled::Update(new) = reconcile(&emptied, &wanted) else { panic!("rules come back") };
        assert_eq!(new, wanted);
    }

    #[test]
    fn an_administrator_may_keep_a_role_as_it_is() {
        let mut standing = json!({"metadata": {"annotations": {AUTO_UPDATE: "false"}}});
        let wanted = json!({"metadata": {}, "rules": [rule("get")]});
        assert_eq!(reconcile(&standing, &wanted), Reconciled::Same);
        standing["metadata"]["annotations"][AUTO_UPDATE] = json!("true");
        assert!(matches!(reconcile(&standing, &wanted), Reconciled::Update(_)));
    }

    #[test]
    fn a_binding_keeps_its_subjects_and_gets_its_role() {
        let of = |role: &str, groups: &[&str]| {
            let subjects: Vec<Value> = groups.iter().map(|g| json!({"kind": "Group", "name": g})).collect();
            json!({"metadata": {}, "roleRef": {"name": role}, "subjects": subjects})
        };
        assert_eq!(reconcile(&of("a", &["x"]), &of("b", &["x"])), Reconciled::Recreate);
        assert_eq!(reconcile(&of("a", &["y"]), &of("a", &["x"])), Reconciled::Update(of("a", &["y", "x"])));
    }
}
