//! How a write changes who manages which fields.

use super::object;
use crate::kinds::{KINDS, Kind};
use crate::managed::{self, Writer};
use serde_json::Value;

/// What a write does to `metadata.managedFields`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tracking<'a> {
    /// Nothing: it is none that a caller makes of fields (the binding of a Pod).
    None,
    /// It takes the fields that it changes.
    Update(&'a Writer<'a>),
    /// It was applied: the object says already who manages what.
    Applied,
}

impl Tracking<'_> {
    /// Writes the managers of a write that makes `new` of `old`, both as they are stored; `given` is what the request said
    /// about them.
    pub(super) fn settle(self, kind: &'static Kind, old: Option<&Value>, new: &mut Value, given: Value) {
        let managers = match self {
            Self::None => old.map_or(Value::Null, |old| old["metadata"]["managedFields"].clone()),
            Self::Applied => given,
            Self::Update(writer) => {
                let now = object::timestamp(jiff::Timestamp::now());
                managed::update(writer, stored_form(kind), old, new, &given, &now)
            }
        };
        object::set_meta(new, "managedFields", managers);
    }
}

/// The row whose fields are called as they are stored.
fn stored_form(kind: &'static Kind) -> &'static Kind {
    if kind.group == kind.storage_group {
        return kind;
    }
    KINDS.iter().find(|k| k.group == kind.storage_group && k.kind == kind.kind).unwrap_or(kind)
}
