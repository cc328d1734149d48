//! Deployments and ReplicaSets.

use super::{AGE, Column, NAME, Printer, age, list, name, number, or_else, text};
use serde_json::{Value, json};

const CONTAINERS: Column = ("Containers", "string", "", 1);
const IMAGES: Column = ("Images", "string", "", 1);
const SELECTOR: Column = ("Selector", "string", "", 1);

pub(super) const DEPLOYMENT: Printer = Printer {
    columns: &[
        NAME,
        ("Ready", "string", "", 0),
        ("Up-to-date", "integer", "", 0),
        ("Available", "integer", "", 0),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let mut cells = vec![
            json!(name(object)),
            json!(format!(
                "{}/{}",
                number(object, "/status/readyReplicas"),
                number(object, "/spec/replicas")
            )),
            json!(number(object, "/status/updatedReplicas")),
            json!(number(object, "/status/availableReplicas")),
            json!(age(object, now)),
        ];
        cells.extend(template(object));
        cells
    },
};

pub(super) const REPLICA_SET: Printer = Printer {
    columns: &[
        NAME,
        ("Desired", "integer", "", 0),
        ("Current", "integer", "", 0),
        ("Ready", "integer", "", 0),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let mut cells = vec![
            json!(name(object)),
            json!(number(object, "/spec/replicas")),
            json!(number(object, "/status/replicas")),
            json!(number(object, "/status/readyReplicas")),
            json!(age(object, now)),
        ];
        cells.extend(template(object));
        cells
    },
};

/// Names and images of the template's containers, and the selector.
fn template(object: &Value) -> [Value; 3] {
    let containers = list(object, "/spec/template/spec/containers");
    let each = |what: &str| containers.iter().map(|c| text(c, what)).collect::<Vec<_>>().join(",");
    [json!(each("/name")), json!(each("/image")), json!(selector(object))]
}

/// A label selector as text: `app=web,tier in (a,b),!old`.
fn selector(object: &Value) -> String {
    let labels =
        object.pointer("/spec/selector/matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut terms: Vec<(String, String)> =
        labels.map(|(k, v)| (k.clone(), format!("{k}={}", v.as_str().unwrap_or_default()))).collect();
    for expression in list(object, "/spec/selector/matchExpressions") {
        let key = text(expression, "/key");
        let mut values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let term = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    or_else(&terms.join(","), "<none>").to_owned()
}
