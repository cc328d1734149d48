//! The forms in which an object is managed: a manager's fields are paths of the API version that it wrote in.

use super::compare::{Comparison, compare};
use super::node::Node;
use super::set::Set;
use crate::kinds::{KINDS, Kind, Subresource};
use crate::registry::convert;
use crate::schema::{TypeId, table};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::OnceLock;

/// One form: a kind's row and its type. Versions of one group have the same fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) kind: &'static Kind,
    pub(super) id: TypeId,
}

impl Form {
    /// The form of a kind in a version.
    pub(super) fn of(kind: &'static Kind, version: &str) -> Option<Self> {
        Some(Self { kind, id: table().kind(kind.group, version, kind.kind)? })
    }

    /// The form that a manager wrote in; `None` if it is not served any more.
    pub(super) fn named(kind: &Kind, api_version: &str) -> Option<Self> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let row = KINDS.iter().find(|k| {
            (k.kind, k.storage_group, k.group) == (kind.kind, kind.storage_group, group)
                && k.versions.contains(&version)
        })?;
        Self::of(row, version)
    }

    /// Whether paths mean the same in both.
    pub(super) fn same_as(self, other: Self) -> bool {
        self.kind.group == other.kind.group
    }

    pub(super) fn node(self) -> Node {
        Node::object(self.id)
    }

    /// What differs, given two objects in the form of `from`.
    pub(super) fn compare(self, from: &Kind, old: &Value, new: &Value) -> Comparison {
        compare(Some(&self.convert(from, old)), Some(&self.convert(from, new)), self.node())
    }

    fn convert<'a>(self, from: &Kind, object: &'a Value) -> Cow<'a, Value> {
        if from.group == self.kind.group {
            return Cow::Borrowed(object);
        }
        let mut object = object.clone();
        convert::to_stored(from, &mut object);
        convert::to_version(self.kind, self.kind.versions[0], &mut object);
        Cow::Owned(object)
    }
}

/// What a write of this part cannot change (`GetResetFields` of the strategies), and managedFields itself.
pub(super) fn ignored(kind: &Kind, subresource: &str) -> &'static Set {
    static SETS: OnceLock<[Set; 4]> = OnceLock::new();
    let [nothing, status, spec, spec_and_labels] = SETS.get_or_init(|| {
        [&[] as &[&[&str]], &[&["status"]], &[&["spec"]], &[&["spec"], &["metadata", "labels"]]].map(
            |paths| {
                let mut set = Set::default();
                set.insert(&["metadata", "managedFields"]);
                paths.iter().for_each(|path| set.insert(path));
                set
            },
        )
    });
    match (subresource, kind.kind) {
        ("", _) if kind.has(Subresource::Status) => status,
        ("status", "Deployment") => spec_and_labels,
        ("status", _) => spec,
        _ => nothing,
    }
}

/// Identity and bookkeeping, which nobody manages (`managedfields/internal/stripmeta.go`).
pub(super) fn unmanaged() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        let mut set = Set::default();
        for field in ["apiVersion", "kind", "metadata"] {
            set.insert(&[field]);
        }
        for field in [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        ] {
            set.insert(&["metadata", field]);
        }
        set
    })
}
