//! Deployments and ReplicaSets (`pkg/registry/apps`, `pkg/apis/apps/validation`).

use super::access::{at, default, drop_nulls, has, int, is_zero, list, object, pairs, remove, set, text};
use super::{Part, Strategy, format, generation, pod};
use crate::status::FieldError;
use serde_json::{Value, json};

/// The strategy of Deployments.
pub(super) struct Deployment;

impl Strategy for Deployment {
    fn default(&self, object_: &mut Value) {
        let Some(spec) = spec_with_template(object_) else { return };
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        let Some(strategy) = object(spec, "strategy") else { return };
        default(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = object(strategy, "rollingUpdate")
        {
            default(rolling, "maxUnavailable", "25%");
            default(rolling, "maxSurge", "25%");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        set(object, "status", json!({}));
        generation::start(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part) {
        let annotations = |o: &Value| at(o, &["metadata", "annotations"]).clone();
        if part != Part::Status
            && (at(new, &["spec"]) != at(old, &["spec"]) || annotations(new) != annotations(old))
        {
            generation::count(new, old);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = at(object, &["spec"]);
        let mut wrong = common(spec, "deployment");
        wrong.extend(rollout(spec));
        wrong.extend(non_negative(
            spec,
            &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
        ));
        let (deadline, ready) = (int(spec, "progressDeadlineSeconds"), int(spec, "minReadySeconds"));
        if has(spec, "progressDeadlineSeconds") && deadline <= ready {
            let why = "must be greater than minReadySeconds";
            wrong.push(FieldError::invalid("spec.progressDeadlineSeconds", &json!(deadline), why));
        }
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        update(self, new, old, part)
    }
}

/// The strategy of ReplicaSets.
pub(super) struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, object_: &mut Value) {
        spec_with_template(object_);
    }

    fn prepare_create(&self, object: &mut Value) {
        set(object, "status", json!({"replicas": 0}));
        generation::start(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part) {
        generation::count_spec(new, old, part);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = at(object, &["spec"]);
        let mut wrong = common(spec, "replicaset");
        wrong.extend(non_negative(spec, &["minReadySeconds"]));
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        update(self, new, old, part)
    }
}

/// The spec with what both kinds default: one replica and the template.
fn spec_with_template(object_: &mut Value) -> Option<&mut Value> {
    let spec = object(object_, "spec")?;
    drop_nulls(spec);
    default(spec, "replicas", 1);
    let template = object(spec, "template")?;
    if let Some(metadata) = object(template, "metadata") {
        remove(metadata, "creationTimestamp");
    }
    pod::defaults::pod_spec(object(template, "spec")?);
    Some(spec)
}

fn non_negative(spec: &Value, keys: &[&str]) -> Vec<FieldError> {
    keys.iter().filter_map(|key| format::non_negative(&format!("spec.{key}"), int(spec, key))).collect()
}

fn common(spec: &Value, kind: &str) -> Vec<FieldError> {
    let mut wrong = non_negative(spec, &["replicas"]);
    let selector = at(spec, &["selector"]);
    if selector.is_null() {
        wrong.push(FieldError::required("spec.selector", ""));
    } else if list(selector, "matchExpressions").is_empty() && is_zero(at(selector, &["matchLabels"])) {
        wrong.push(FieldError::invalid(
            "spec.selector",
            selector,
            format!("empty selector is invalid for {kind}"),
        ));
    } else {
        wrong.extend(format::labels("spec.selector.matchLabels", at(selector, &["matchLabels"])));
        wrong.extend(expressions(selector));
        let labels = at(spec, &["template", "metadata", "labels"]);
        if !matches(selector, labels) {
            let shown = if labels.is_null() { json!({}) } else { labels.clone() };
            let why = "`selector` does not match template `labels`";
            wrong.push(FieldError::invalid("spec.template.metadata.labels", &shown, why));
        }
    }
    let labels = at(spec, &["template", "metadata", "labels"]);
    wrong.extend(format::labels("spec.template.labels", labels));
    let template = at(spec, &["template", "spec"]);
    wrong.extend(pod::validate_pod_spec("spec.template.spec", template));
    let policy = text(template, "restartPolicy");
    wrong.extend(format::one_of("spec.template.spec.restartPolicy", policy, &["Always"]));
    if has(template, "activeDeadlineSeconds") {
        let why = "activeDeadlineSeconds in ReplicaSet is not Supported";
        wrong.push(FieldError::forbidden("spec.template.spec.activeDeadlineSeconds", why));
    }
    wrong
}

fn expressions(selector: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    for (i, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let field = format!("spec.selector.matchExpressions[{i}]");
        let values = list(expression, "values");
        match text(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                wrong.push(FieldError::required(format!("{field}.values"), why));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                wrong.push(FieldError::forbidden(format!("{field}.values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let why = "not a valid selector operator";
                wrong.push(FieldError::invalid(format!("{field}.operator"), &json!(other), why));
            }
        }
        let key = text(expression, "key");
        wrong.extend(format::at_field(&format!("{field}.key"), key, format::qualified_name(key)));
    }
    wrong
}

/// Does a label selector (`matchLabels`, `matchExpressions`) select these labels?
pub(crate) fn matches(selector: &Value, labels: &Value) -> bool {
    let equal = pairs(selector, "matchLabels").all(|(key, value)| labels.get(key) == Some(value));
    equal
        && list(selector, "matchExpressions").iter().all(|expression| {
            let label = labels.get(text(expression, "key"));
            let listed = label.is_some_and(|label| list(expression, "values").contains(label));
            match text(expression, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => false,
            }
        })
}

fn rollout(spec: &Value) -> Vec<FieldError> {
    let strategy = at(spec, &["strategy"]);
    let rolling = at(strategy, &["rollingUpdate"]);
    let field = "spec.strategy";
    let mut wrong = Vec::new();
    match text(strategy, "type") {
        "Recreate" if !rolling.is_null() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            wrong.push(FieldError::forbidden(format!("{field}.rollingUpdate"), why));
        }
        "RollingUpdate" => {
            for key in ["maxUnavailable", "maxSurge"] {
                wrong.extend(int_or_percent(&format!("{field}.rollingUpdate.{key}"), at(rolling, &[key])));
            }
            let zero = |key: &str| {
                matches!(at(rolling, &[key]).as_str(), Some("0%")) || int_is_zero(at(rolling, &[key]))
            };
            if zero("maxUnavailable") && zero("maxSurge") {
                let value = at(rolling, &["maxUnavailable"]);
                let why = "may not be 0 when `maxSurge` is 0";
                wrong.push(FieldError::invalid(format!("{field}.rollingUpdate.maxUnavailable"), value, why));
            }
        }
        "Recreate" => {}
        other => {
            wrong.push(format::not_supported(&format!("{field}.type"), other, &["Recreate", "RollingUpdate"]))
        }
    }
    wrong
}

fn int_is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0)
}

fn int_or_percent(field: &str, value: &Value) -> Option<FieldError> {
    match value.as_str() {
        None => format::non_negative(field, value.as_i64().unwrap_or_default()),
        Some(text) => {
            let number =
                text.strip_suffix('%').filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                '93%', regex used for validation is '[0-9]+%')";
            number.is_none().then(|| FieldError::invalid(field, value, why))
        }
    }
}

fn update(strategy: &dyn Strategy, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
    if part == Part::Status {
        return Vec::new();
    }
    let mut wrong = strategy.validate(new);
    wrong.extend(format::immutable(
        "spec.selector",
        at(new, &["spec", "selector"]),
        at(old, &["spec", "selector"]),
    ));
    wrong
}
