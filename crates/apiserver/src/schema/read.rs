//! Reads `types.txt`. The text is committed and a test reads all of it, so what is wrong in it is a broken build: the reader
//! states what it expects.

use super::{Field, Leaf, PatchStrategy, Shape, Table, Topology, Type, TypeId};
use std::collections::HashMap;

/// Makes the table.
pub(super) fn read(text: &'static str) -> Table {
    let lines = || text.lines().filter(|l| !l.starts_with('#'));
    let names = lines().filter(|l| !l.starts_with(' ')).map(|l| l.split(' ').next().unwrap_or(l));
    let ids: HashMap<&str, TypeId> = names.zip(0..).collect();
    let mut types: Vec<Type> = Vec::with_capacity(ids.len());
    for line in lines() {
        match line.strip_prefix(' ') {
            None => types.push(new_type(line)),
            Some(field) => {
                let last = types.last_mut().expect("a field follows its type");
                add_field(last, field, &ids);
            }
        }
    }
    for ty in &mut types {
        ty.fields.sort_unstable_by_key(|f| f.name);
        ty.fields.shrink_to_fit();
    }
    let kinds = types.iter().zip(0..).flat_map(|(ty, id)| gvks(ty).map(move |gvk| (gvk, id))).collect();
    Table { types, kinds }
}

fn new_type(line: &'static str) -> Type {
    let (name, attributes) = line.split_once(' ').unwrap_or((line, ""));
    let atomic = attributes.split(' ').any(|a| a == "atomic");
    Type { name, attributes, atomic, fields: Vec::new(), inlined: Vec::new() }
}

fn add_field(ty: &mut Type, line: &'static str, ids: &HashMap<&str, TypeId>) {
    let mut parts = line.splitn(4, ' ');
    let mut next = || parts.next().expect("a field has a name, a number and a shape");
    let (name, number, shape) = (next(), next().parse().expect("a field number is a number"), next());
    let attributes = parts.next().unwrap_or_default();
    if name == "~" {
        ty.inlined.push((number, *ids.get(shape).expect("an embedded message is in the table")));
        return;
    }
    let has = |mark: &str| attributes.split(' ').any(|a| a == mark);
    let strategy = attribute(attributes, "patch=").unwrap_or_default();
    ty.fields.push(Field {
        name,
        number,
        shape: read_shape(shape, ids),
        pointer: has("*"),
        required: has("!"),
        patch: PatchStrategy {
            merge: strategy.split(',').any(|s| s == "merge"),
            replace: strategy.split(',').any(|s| s == "replace"),
        },
        merge_key: attribute(attributes, "key=").unwrap_or_default(),
        topology: topology(attributes),
        attributes,
    });
}

fn topology(attributes: &'static str) -> Topology {
    match (attribute(attributes, "list="), attribute(attributes, "map=")) {
        (Some("set"), _) => Topology::Set,
        (Some("map"), _) => Topology::Map,
        (Some("atomic"), _) | (_, Some("atomic")) => Topology::Atomic,
        _ => Topology::Unsaid,
    }
}

/// The value of an attribute such as `key=`.
pub(crate) fn attribute(attributes: &'static str, name: &str) -> Option<&'static str> {
    attributes.split(' ').find_map(|a| a.strip_prefix(name))
}

fn gvks(ty: &Type) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> + use<> {
    ty.attributes.split(' ').filter_map(|a| {
        let mut parts = a.strip_prefix("gvk=")?.splitn(3, '/');
        Some((parts.next()?, parts.next()?, parts.next()?))
    })
}

fn read_shape(text: &str, ids: &HashMap<&str, TypeId>) -> Shape {
    if let Some(element) = text.strip_prefix("{}[]") {
        Shape::MapOfLists(read_leaf(element, ids))
    } else if let Some(element) = text.strip_prefix("{}") {
        Shape::Map(read_leaf(element, ids))
    } else if let Some(element) = text.strip_prefix("[]") {
        Shape::List(read_leaf(element, ids))
    } else {
        Shape::One(read_leaf(text, ids))
    }
}

fn read_leaf(text: &str, ids: &HashMap<&str, TypeId>) -> Leaf {
    match text {
        "string" => Leaf::String,
        "bool" => Leaf::Bool,
        "i32" => Leaf::I32,
        "i64" => Leaf::I64,
        "f64" => Leaf::F64,
        "bytes" => Leaf::Bytes,
        "time" => Leaf::Time,
        "microtime" => Leaf::MicroTime,
        "quantity" => Leaf::Quantity,
        "intorstring" => Leaf::IntOrString,
        "any" => Leaf::Any,
        name => Leaf::Message(*ids.get(name).expect("a field's type is in the table")),
    }
}
