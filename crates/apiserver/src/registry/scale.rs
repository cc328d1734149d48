//! The Scale of a Deployment or ReplicaSet (`autoscaling/v1`).

use super::object;
use crate::status::ApiError;
use serde_json::{Value, json};

/// The Scale of an object.
pub(crate) fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector_text(&object["spec"]["selector"]),
        },
    })
}

/// The object with the replicas that a Scale asks for.
pub(crate) fn apply_scale(object: &Value, scale: &Value) -> Result<Value, ApiError> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| ApiError::bad_request("spec.replicas must be a number"))?,
    };
    if replicas < 0 {
        let error = crate::FieldError::invalid(
            "spec.replicas",
            &json!(replicas),
            "must be greater than or equal to 0",
        );
        return Err(ApiError::invalid("autoscaling", "Scale", object::meta(scale, "name"), &[error]));
    }
    let mut new = object.clone();
    new["spec"]["replicas"] = json!(replicas);
    for field in ["uid", "resourceVersion", "name"] {
        let value = scale["metadata"][field].clone();
        if !value.is_null() {
            object::set_meta(&mut new, field, value);
        }
    }
    Ok(new)
}

/// A LabelSelector as text: `app=web,tier in (a,b)`.
fn selector_text(selector: &Value) -> String {
    let mut terms: Vec<String> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for e in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = e["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            e["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match e["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    terms.join(",")
}
