//! `components.schemas` of a document: the types that its kinds reach, with descriptions and patch keys.

use crate::schema::{Field, Leaf, Shape, Type, TypeId, attribute, descriptions, table};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// The types that the codec knows by itself, in full.
const LEAVES: [(&str, &str); 4] = [
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", r#"{"oneOf":[{"type":"string"},{"type":"number"}]}"#),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", r#"{"type":"string","format":"date-time"}"#),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", r#"{"type":"string","format":"date-time"}"#),
    (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        r#"{"format":"int-or-string","oneOf":[{"type":"integer"},{"type":"string"}]}"#,
    ),
];

/// The name that Kubernetes' OpenAPI has for a type of the table.
pub(super) fn full_name(name: &str) -> String {
    if name.starts_with("meta.") {
        format!("io.k8s.apimachinery.pkg.apis.{name}")
    } else {
        format!("io.k8s.api.{name}")
    }
}

/// Writes the members of `schemas`: all that `roots` reach.
pub(super) fn write(out: &mut String, roots: &[TypeId]) {
    let texts = Texts::read();
    let mut reached = BTreeSet::new();
    let mut open: Vec<TypeId> = roots.to_vec();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(table().get(id).fields.iter().filter_map(|f| message_of(f.shape)));
        }
    }
    for (name, schema) in LEAVES {
        let _ = write!(out, "\"{name}\":{schema},");
    }
    let mut first = true;
    for id in reached {
        let ty = table().get(id);
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        let _ = write!(out, "\"{}\":", full_name(ty.name));
        write_type(out, ty, &texts);
    }
}

fn message_of(shape: Shape) -> Option<TypeId> {
    match shape {
        Shape::One(Leaf::Message(id)) | Shape::List(Leaf::Message(id)) | Shape::Map(Leaf::Message(id)) => {
            Some(id)
        }
        _ => None,
    }
}

/// The descriptions, found by type; valid JSON strings as they stand in the file.
struct Texts(HashMap<&'static str, (&'static str, &'static str)>);

impl Texts {
    /// Splits the file into types: (the type's own text, the lines of its fields).
    fn read() -> Self {
        let text = descriptions();
        let mut found = HashMap::new();
        let mut rest = text.split_once("\n").map_or("", |(_, rest)| rest);
        while let Some((head, after)) = rest.split_once('\n') {
            let mut end = 0;
            while after[end..].starts_with('\t') {
                end += after[end..].find('\n').map_or(after.len() - end, |n| n + 1);
            }
            if let Some((name, own)) = head.split_once('\t') {
                found.insert(name, (own, &after[..end]));
            }
            rest = &after[end..];
        }
        Self(found)
    }

    fn of_type(&self, name: &str) -> &'static str {
        self.0.get(name).map_or("\"\"", |(own, _)| own)
    }

    fn of_field(&self, name: &str, field: &str) -> &'static str {
        let lines = self.0.get(name).map_or("", |(_, lines)| lines).lines();
        let mut found = lines.filter_map(|l| l.strip_prefix('\t')?.split_once('\t'));
        found.find(|(f, _)| *f == field).map_or("\"\"", |(_, text)| text)
    }
}

fn write_type(out: &mut String, ty: &Type, texts: &Texts) {
    let _ = write!(out, "{{\"description\":{},\"type\":\"object\"", texts.of_type(ty.name));
    let required: Vec<String> =
        ty.fields.iter().filter(|f| f.required).map(|f| format!("\"{}\"", f.name)).collect();
    if !required.is_empty() {
        let _ = write!(out, ",\"required\":[{}]", required.join(","));
    }
    for (at, field) in ty.fields.iter().enumerate() {
        out.push_str(if at == 0 { ",\"properties\":{" } else { "," });
        let _ = write!(out, "\"{}\":{{\"description\":{},", field.name, texts.of_field(ty.name, field.name));
        write_shape(out, field.shape);
        write_extensions(out, field);
        out.push('}');
    }
    if !ty.fields.is_empty() {
        out.push('}');
    }
    let gvks: Vec<String> = ty.attributes.split(' ').filter_map(gvk).collect();
    if !gvks.is_empty() {
        let _ = write!(out, ",\"x-kubernetes-group-version-kind\":[{}]", gvks.join(","));
    }
    if ty.attributes.split(' ').any(|a| a == "atomic") {
        out.push_str(",\"x-kubernetes-map-type\":\"atomic\"");
    }
    out.push('}');
}

fn gvk(attribute: &str) -> Option<String> {
    let mut parts = attribute.strip_prefix("gvk=")?.splitn(3, '/');
    let (group, version, kind) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{{\"group\":\"{group}\",\"version\":\"{version}\",\"kind\":\"{kind}\"}}"))
}

/// The members of a schema without the braces around them.
fn write_shape(out: &mut String, shape: Shape) {
    match shape {
        Shape::One(leaf) => write_leaf(out, leaf),
        Shape::List(leaf) => {
            out.push_str("\"type\":\"array\",\"items\":{");
            write_leaf(out, leaf);
            out.push('}');
        }
        Shape::Map(leaf) => {
            out.push_str("\"type\":\"object\",\"additionalProperties\":{");
            write_leaf(out, leaf);
            out.push('}');
        }
        Shape::MapOfLists(leaf) => {
            out.push_str("\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\",\"items\":{");
            write_leaf(out, leaf);
            out.push_str("}}");
        }
    }
}

fn write_leaf(out: &mut String, leaf: Leaf) {
    // References stand in `allOf`, since they may have no siblings.
    let mut reference = |name: &str| {
        let _ = write!(out, "\"allOf\":[{{\"$ref\":\"#/components/schemas/{name}\"}}]");
    };
    let text = match leaf {
        Leaf::Quantity => return reference(LEAVES[0].0),
        Leaf::MicroTime => return reference(LEAVES[1].0),
        Leaf::Time => return reference(LEAVES[2].0),
        Leaf::IntOrString => return reference(LEAVES[3].0),
        Leaf::Message(id) => return reference(&full_name(table().get(id).name)),
        Leaf::String => r#""type":"string""#,
        Leaf::Bool => r#""type":"boolean""#,
        Leaf::I32 => r#""type":"integer","format":"int32""#,
        Leaf::I64 => r#""type":"integer","format":"int64""#,
        Leaf::F64 => r#""type":"number","format":"double""#,
        Leaf::Bytes => r#""type":"string","format":"byte""#,
        Leaf::Any => r#""type":"object""#,
    };
    out.push_str(text);
}

fn write_extensions(out: &mut String, field: &Field) {
    let names = [
        ("patch=", "patch-strategy"),
        ("key=", "patch-merge-key"),
        ("list=", "list-type"),
        ("map=", "map-type"),
    ];
    for (mark, name) in names {
        if let Some(value) = attribute(field.attributes, mark) {
            let _ = write!(out, ",\"x-kubernetes-{name}\":\"{value}\"");
        }
    }
    if let Some(keys) = attribute(field.attributes, "keys=") {
        let keys: Vec<String> = keys.split(',').map(|k| format!("\"{k}\"")).collect();
        let _ = write!(out, ",\"x-kubernetes-list-map-keys\":[{}]", keys.join(","));
    }
}
