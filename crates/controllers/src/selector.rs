//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// True if every pair of the selector is among the labels. An empty selector selects everything.
pub(crate) fn equality_matches(selector: &Labels, labels: Option<&Labels>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// True if the selector selects nothing in particular, that is everything.
pub(crate) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// True if a set-based selector selects an object with these labels.
pub(crate) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    selector.match_labels.as_ref().is_none_or(|pairs| equality_matches(pairs, labels))
        && selector.match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

/// An unknown operator is met by nothing.
fn meets(requirement: &LabelSelectorRequirement, labels: Option<&Labels>) -> bool {
    let value = labels.and_then(|labels| labels.get(&requirement.key));
    let listed = |value: &String| requirement.values.iter().flatten().any(|v| v == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => value.is_none_or(|value| !listed(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn selectors() {
        let labels: Labels = serde_json::from_value(json!({"app": "web", "tier": "front"})).unwrap();
        let table: &[(Value, bool)] = &[
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "zone": "a"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "What"}]}),
                false,
            ),
        ];
        for (selector, expected) in table {
            let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&selector, Some(&labels)), *expected, "{selector:?}");
        }
        let none: LabelSelector = serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap();
        assert!(!matches(&none, None) && !is_empty(&none) && is_empty(&LabelSelector::default()));
    }
}
