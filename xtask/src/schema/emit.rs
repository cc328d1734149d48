//! Writes the two text files. The format is documented in `crates/apiserver/src/schema/mod.rs`, which reads them.

use super::definitions::{Types, short};
use super::protobuf::{Field, Messages, fold};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const HEAD: &str = "\
# Kubernetes v1.33: the types of the served kinds. Derived by `cargo xtask schema`; do not edit.
# Copyright The Kubernetes Authors, Apache-2.0: see NOTICE.
";

/// Types that the codec knows by itself.
const LEAVES: [(&str, &str); 6] = [
    ("IntOrString", "intorstring"),
    ("Quantity", "quantity"),
    ("RawExtension", "any"),
    ("meta.v1.FieldsV1", "any"),
    ("meta.v1.MicroTime", "microtime"),
    ("meta.v1.Time", "time"),
];

/// The table of types.
pub(super) fn types(types: &Types, messages: &Messages, pointers: &str) -> Result<String, String> {
    let pointers = read_pointers(pointers);
    let keys = map_keys(types);
    let mut out = HEAD.to_owned();
    let mut hidden = BTreeMap::new();
    for (name, schema) in types.iter().filter(|(n, _)| leaf(n).is_none()) {
        let _ = writeln!(out, "{name}{}", type_attributes(schema));
        let fields = messages.get(&fold_type(name));
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let required = strings(&schema["required"]);
        let numbers: BTreeMap<&str, u32> =
            fields.iter().flat_map(|f| f.iter()).map(|f| (f.name.as_str(), f.number)).collect();
        for (field, property) in &properties {
            let number = numbers.get(fold(field).as_str()).copied().unwrap_or(0);
            let _ = write!(out, " {field} {number} {}", shape(property)?);
            let set = pointers.get(name.as_str()).is_some_and(|p| p.contains(field.as_str()));
            let _ = write!(out, "{}", field_attributes(property, set, required.contains(&field.as_str())));
            // a key that is left out stands for its default
            let default =
                fields.iter().flat_map(|f| f.iter()).find(|f| f.name == fold(field)).map(|f| &f.default);
            if let Some(default) = default.filter(|d| !d.is_empty() && keys.contains(&(name.as_str(), field)))
            {
                let _ = write!(out, " default={default}");
            }
            out.push('\n');
        }
        for (number, inlined, inner) in inlined(name, fields, &properties, messages) {
            let target =
                types.keys().find(|t| fold_type(t) == inlined).cloned().unwrap_or_else(|| inlined.clone());
            let _ = writeln!(out, " ~ {number} {target}");
            if !types.contains_key(&target) {
                hidden.insert(
                    target,
                    (inner, properties.clone(), pointers.get(name.as_str()).cloned().unwrap_or_default()),
                );
            }
        }
    }
    for (name, (fields, outer, pointers)) in hidden {
        let _ = writeln!(out, "{name} hidden");
        for (field, property) in &outer {
            if let Some(found) = fields.iter().find(|f| f.name == fold(field)) {
                let set = pointers.contains(field.as_str()) || property.get("$ref").is_some();
                let _ = writeln!(
                    out,
                    " {field} {} {}{}",
                    found.number,
                    shape(property)?,
                    field_attributes(property, set, false)
                );
            }
        }
    }
    Ok(out)
}

/// The texts for `kubectl explain`: `TYPE<TAB>text` and, for the type's fields, `<TAB>FIELD<TAB>text`, as JSON strings.
pub(super) fn descriptions(types: &Types) -> String {
    let mut out = HEAD.replace("types of", "descriptions of the types of");
    for (name, schema) in types {
        let _ = writeln!(out, "{name}\t{}", text(schema));
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "\t{field}\t{}", text(property));
        }
    }
    out
}

fn text(schema: &Value) -> &Value {
    static EMPTY: Value = Value::String(String::new());
    schema.get("description").unwrap_or(&EMPTY)
}

/// The fields by which the elements of a list are told apart in server-side apply: (element type, field).
fn map_keys(types: &Types) -> BTreeSet<(&str, &str)> {
    let properties = types.values().flat_map(|t| t["properties"].as_object().into_iter().flatten());
    properties
        .filter_map(|(_, list)| Some((short(list["items"]["$ref"].as_str()?), list)))
        .flat_map(|(element, list)| {
            strings(&list["x-kubernetes-list-map-keys"]).into_iter().map(move |key| (element, key))
        })
        .collect()
}

fn leaf(name: &str) -> Option<&'static str> {
    LEAVES.iter().find(|(known, _)| *known == name).map(|(_, leaf)| *leaf)
}

fn fold_type(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((package, last)) => format!("{package}.{}", fold(last)),
        None => fold(name),
    }
}

fn read_pointers(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines
        .filter_map(|l| l.split_once(' '))
        .map(|(name, fields)| (name, fields.split(' ').collect()))
        .collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Message fields that JSON does not have, because Go embeds the struct: (number, message, its fields).
fn inlined(
    name: &str,
    fields: Option<&Vec<Field>>,
    properties: &Map<String, Value>,
    messages: &Messages,
) -> Vec<(u32, String, Vec<Field>)> {
    let known: BTreeSet<String> = properties.keys().map(|p| fold(p)).collect();
    let package = name.rsplit_once('.').map_or("", |(package, _)| package);
    let mut found = Vec::new();
    for field in fields.into_iter().flatten().filter(|f| !known.contains(&f.name)) {
        let target = format!("{package}.{}", field.message);
        // A message that shares no field with the JSON form is a field newer than these definitions.
        let Some(inner) = messages.get(&target) else { continue };
        if inner.iter().any(|f| known.contains(&f.name)) {
            found.push((field.number, target, inner.clone()));
        }
    }
    found
}

fn shape(property: &Value) -> Result<String, String> {
    if let Some(target) = property["$ref"].as_str() {
        let name = short(target);
        return Ok(leaf(name).unwrap_or(name).to_owned());
    }
    let kind = match &property["type"] {
        Value::Array(list) => list.first().and_then(Value::as_str),
        other => other.as_str(),
    };
    Ok(match (kind, property["format"].as_str()) {
        (Some("array"), _) => format!("[]{}", shape(&property["items"])?),
        (Some("object"), _) if property["additionalProperties"].is_object() => {
            format!("{{}}{}", shape(&property["additionalProperties"])?)
        }
        (Some("object"), _) => "any".to_owned(),
        (Some("string"), Some("byte")) => "bytes".to_owned(),
        (Some("string"), _) => "string".to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("integer"), Some("int64")) => "i64".to_owned(),
        (Some("integer"), _) => "i32".to_owned(),
        (Some("number"), _) => "f64".to_owned(),
        _ => return Err(format!("no shape for {property}")),
    })
}

fn type_attributes(schema: &Value) -> String {
    let mut out = String::new();
    for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
        let part = |key: &str| gvk[key].as_str().unwrap_or_default();
        // Options and events are registered in every group there is.
        if !matches!(part("kind"), "DeleteOptions" | "WatchEvent")
            || (part("group"), part("version")) == ("", "v1")
        {
            let _ = write!(out, " gvk={}/{}/{}", part("group"), part("version"), part("kind"));
        }
    }
    if schema["x-kubernetes-map-type"] == "atomic" {
        out.push_str(" atomic");
    }
    out
}

fn field_attributes(property: &Value, pointer: bool, required: bool) -> String {
    let mut out = String::new();
    for (set, mark) in [(pointer, " *"), (required, " !")] {
        if set {
            out.push_str(mark);
        }
    }
    for (key, mark) in
        [("patch-strategy", "patch"), ("patch-merge-key", "key"), ("list-type", "list"), ("map-type", "map")]
    {
        if let Some(value) = property[format!("x-kubernetes-{key}")].as_str() {
            let _ = write!(out, " {mark}={value}");
        }
    }
    let keys = strings(&property["x-kubernetes-list-map-keys"]);
    if !keys.is_empty() {
        let _ = write!(out, " keys={}", keys.join(","));
    }
    out
}
