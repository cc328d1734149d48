//! The types of all served kinds, as one table: what a field is called, its type, its protobuf number, its patch keys.
//!
//! `types.txt` is written by `cargo xtask schema`. A line that does not start with a space names a type, with
//! `gvk=GROUP/VERSION/KIND`, `atomic`, or `hidden` (a protobuf message that JSON does not have). The lines after it are its
//! fields: name, protobuf number (0: none), shape, then `*` (a pointer: its zero means something), `!` (required),
//! `patch=` and `key=` (strategic merge), `list=`, `keys=` and `map=` (server-side apply), `default=` (of a field that is a key
//! of a list). A field called `~` is a message
//! that Go embeds, so that its fields stand in the outer object's JSON.
//!
//! The table borrows its strings from the text and takes some 150 KB; it is made when first asked for.

mod read;

pub(crate) use read::attribute;

use std::collections::HashMap;
use std::sync::OnceLock;

/// A type's place in the table.
pub(crate) type TypeId = u16;

/// What a single value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// Text.
    String,
    /// `true` or `false`.
    Bool,
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A floating-point number.
    F64,
    /// Bytes, base64 in JSON.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// A resource quantity, such as `100m`.
    Quantity,
    /// A port number or name, or a number or percentage.
    IntOrString,
    /// Anything, kept as it is.
    Any,
    /// An object of a type of this table.
    Message(TypeId),
}

/// How a field holds its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value.
    One(Leaf),
    /// A list.
    List(Leaf),
    /// An object with free keys.
    Map(Leaf),
    /// An object with free keys and lists as values.
    MapOfLists(Leaf),
}

/// What strategic merge does with a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PatchStrategy {
    /// Lists are merged by `merge_key` (or as a set, if there is none) rather than replaced.
    pub(crate) merge: bool,
    /// The value is replaced, never merged.
    pub(crate) replace: bool,
}

/// How server-side apply merges a list or an object (`x-kubernetes-list-type`, `x-kubernetes-map-type`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Nothing is said: objects are merged field by field, lists are replaced.
    #[default]
    Unsaid,
    /// Replaced as a whole.
    Atomic,
    /// A list of values, each once.
    Set,
    /// A list of objects that their `keys=` tell apart.
    Map,
}

/// One field of a type.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// Its protobuf number, 0 if it has none.
    pub(crate) number: u32,
    /// What it holds.
    pub(crate) shape: Shape,
    /// Whether its zero differs from its absence.
    pub(crate) pointer: bool,
    /// Whether the schema demands it.
    pub(crate) required: bool,
    /// Its strategic-merge strategy.
    pub(crate) patch: PatchStrategy,
    /// Its strategic-merge key, or the empty string.
    pub(crate) merge_key: &'static str,
    /// How server-side apply merges it.
    pub(crate) topology: Topology,
    /// The words after the shape, for OpenAPI.
    pub(crate) attributes: &'static str,
}

/// One type.
#[derive(Debug)]
pub(crate) struct Type {
    /// Its short name, such as `core.v1.ServicePort`.
    pub(crate) name: &'static str,
    /// `gvk=…`, `atomic`, `hidden`.
    pub(crate) attributes: &'static str,
    /// Whether server-side apply replaces it as a whole.
    pub(crate) atomic: bool,
    /// Its fields, sorted by name.
    pub(crate) fields: Vec<Field>,
    /// Embedded messages.
    pub(crate) inlined: Vec<(u32, TypeId)>,
}

impl Type {
    /// The field of that JSON name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|f| f.name.cmp(name)).ok()?;
        self.fields.get(at)
    }

    /// The name of the Go struct with its package, as Go's messages have it: `v1.ServicePort`.
    pub(crate) fn go_name(&self) -> &'static str {
        let mut dots = self.name.rmatch_indices('.').map(|(at, _)| at);
        dots.nth(1).map_or(self.name, |at| &self.name[at + 1..])
    }

    /// The name of the Go struct: `ServicePort`.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// All types.
#[derive(Debug)]
pub(crate) struct Table {
    types: Vec<Type>,
    kinds: HashMap<(&'static str, &'static str, &'static str), TypeId>,
}

impl Table {
    /// The type of a kind; `None` for a kind without a schema.
    pub(crate) fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        // Options are registered in every group.
        let key = if kind == "DeleteOptions" { ("", "v1", kind) } else { (group, version, kind) };
        self.kinds.get(&key).copied()
    }

    /// The type at a place that this table gave out.
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        self.types.get(usize::from(id)).expect("a TypeId comes from its table")
    }

    /// Every type.
    #[cfg(test)]
    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter()
    }
}

/// The table of Kubernetes v1.33.
pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read::read(include_str!("types.txt")))
}

/// The texts of `kubectl explain`; see `cargo xtask schema`.
pub(crate) fn descriptions() -> &'static str {
    include_str!("descriptions.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_ports_of_a_service() {
        let table = table();
        let service = table.get(table.kind("", "v1", "Service").unwrap());
        let Shape::One(Leaf::Message(spec)) = service.field("spec").unwrap().shape else { panic!() };
        let ports = table.get(spec).field("ports").unwrap();
        assert_eq!((ports.number, ports.merge_key, ports.patch.merge), (1, "port", true));
        let Shape::List(Leaf::Message(port)) = ports.shape else { panic!() };
        assert_eq!(table.get(port).field("targetPort").unwrap().shape, Shape::One(Leaf::IntOrString));
        assert_eq!(table.get(port).go_name(), "v1.ServicePort");
        assert!(table.kind("", "v1", "Serivce").is_none());
    }

    #[test]
    fn every_field_but_those_of_the_envelope_has_a_number_or_is_embedded() {
        let table = table();
        for ty in table.types() {
            let embedded: Vec<&str> =
                ty.inlined.iter().flat_map(|(_, id)| table.get(*id).fields.iter()).map(|f| f.name).collect();
            for field in ty.fields.iter().filter(|f| f.number == 0) {
                let known = matches!(field.name, "kind" | "apiVersion") || embedded.contains(&field.name);
                assert!(known, "{}.{} has no protobuf number", ty.name, field.name);
            }
        }
    }
}
