//! Objects as a Table (`meta.k8s.io/v1`): the columns that `kubectl get` prints.
//!
//! Pure; semantics: kubernetes `pkg/printers/internalversion/printers.go`. Columns of priority 1 are those of `-o wide`.

mod apps;
mod core;
mod duration;
mod pod;
mod rbac;
mod service;

use crate::kinds::RBAC;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::str::FromStr;

/// What a row carries besides its cells (`includeObject`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The object's metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl FromStr for IncludeObject {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "None" => Ok(Self::None),
            "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            _ => Err(()),
        }
    }
}

/// How a Table is rendered.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableOptions {
    /// What a row carries besides its cells.
    pub include_object: IncludeObject,
    /// Leaves the column definitions out: a watch sends them with its first event only.
    pub no_headers: bool,
}

/// A column: name, type, format, priority.
type Column = (&'static str, &'static str, &'static str, u8);

/// How a kind is printed.
struct Printer {
    columns: &'static [Column],
    /// The cells of one object, one a column.
    cells: fn(&Value, Timestamp) -> Vec<Value>,
}

const NAME: Column = ("Name", "string", "name", 0);
const AGE: Column = ("Age", "string", "", 0);

/// Renders objects of one kind. Ages are those at `now`; `list_meta` is the metadata of the list (or the object).
#[must_use]
pub fn render(
    group: &str,
    kind: &str,
    objects: &[Value],
    options: &TableOptions,
    list_meta: Value,
    now: Timestamp,
) -> Value {
    let printer = printer(group, kind);
    let columns: Value = printer
        .columns
        .iter()
        .map(|(name, kind, format, priority)| {
            json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
        })
        .collect();
    let rows: Value = objects.iter().map(|object| row(object, &printer, options, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": if options.no_headers { Value::Null } else { columns },
        "rows": rows,
    })
}

fn row(object: &Value, printer: &Printer, options: &TableOptions, now: Timestamp) -> Value {
    let shown = match options.include_object {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
        }
        IncludeObject::Object => object.clone(),
    };
    let mut row = json!({"cells": (printer.cells)(object, now), "object": shown});
    if let Some(conditions) = pod::row_conditions(object) {
        row["conditions"] = conditions;
    }
    row
}

fn printer(group: &str, kind: &str) -> Printer {
    match (group, kind) {
        ("", "Namespace") => core::NAMESPACE,
        ("", "Node") => core::NODE,
        ("", "Pod") => pod::POD,
        ("", "Service") => service::SERVICE,
        ("", "Endpoints") => service::ENDPOINTS,
        ("", "ConfigMap") => core::CONFIG_MAP,
        ("", "Secret") => core::SECRET,
        ("", "ServiceAccount") => core::SERVICE_ACCOUNT,
        ("" | "events.k8s.io", "Event") => core::EVENT,
        ("apps", "Deployment") => apps::DEPLOYMENT,
        ("apps", "ReplicaSet") => apps::REPLICA_SET,
        ("coordination.k8s.io", "Lease") => core::LEASE,
        ("discovery.k8s.io", "EndpointSlice") => service::ENDPOINT_SLICE,
        ("networking.k8s.io", "ServiceCIDR") => service::SERVICE_CIDR,
        ("networking.k8s.io", "IPAddress") => service::IP_ADDRESS,
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => rbac::BINDING,
        _ => Printer {
            columns: &[NAME, ("Created At", "date", "", 0)],
            cells: |object, _| vec![json!(name(object)), object["metadata"]["creationTimestamp"].clone()],
        },
    }
}

/// The text at a JSON pointer, or the empty string.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer, or 0.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The elements of the list at a JSON pointer.
fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

fn age(object: &Value, now: Timestamp) -> String {
    since(text(object, "/metadata/creationTimestamp"), now)
}

/// How long ago a time was, as people say it; `<unknown>` without one.
fn since(time: &str, now: Timestamp) -> String {
    let then: Result<Timestamp, _> = time.parse();
    then.map_or_else(|_| "<unknown>".to_owned(), |then| duration::human(now.duration_since(then)))
}

/// The text, or what Kubernetes shows for nothing.
fn or_else<'a>(text: &'a str, nothing: &'a str) -> &'a str {
    if text.is_empty() { nothing } else { text }
}

/// `a=b,c=d`, or `<none>`.
fn labels(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let mut pairs: Vec<String> =
        pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    pairs.sort_unstable();
    or_else(&pairs.join(","), "<none>").to_owned()
}

#[cfg(test)]
mod tests;
