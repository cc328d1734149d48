//! Who manages which fields of an object, and server-side apply on top of it.
//!
//! Pure functions over JSON values and the schema's table; the registry calls them with an object before and after a write.
//! The semantics are those of `sigs.k8s.io/structured-merge-diff` and `apimachinery/pkg/util/managedfields`.
//!
//! | file | does |
//! |---|---|
//! | `element.rs`, `set.rs` | paths into an object, sets of them, FieldsV1 |
//! | `node.rs`, `items.rs` | the schema: what is owned as a whole, what tells elements of a list apart |
//! | `check.rs`, `collect.rs` | whether a configuration fits the schema, and what it speaks of |
//! | `compare.rs`, `merge.rs` | what differs; one object over another; paths taken out |
//! | `managers.rs`, `form.rs` | `metadata.managedFields`, and the API versions it speaks in |
//! | `update.rs`, `apply.rs`, `conflict.rs`, `last_applied.rs` | what a write makes of all that |
//!
//! Invariants: applying a configuration twice changes nothing; a write that changes nothing leaves managedFields as they are,
//! byte for byte; FieldsV1 is read back as it was written.

mod apply;
mod check;
mod collect;
mod compare;
mod conflict;
mod element;
mod form;
mod items;
mod last_applied;
mod managers;
mod merge;
mod node;
#[cfg(test)]
mod properties;
mod set;
#[cfg(test)]
mod tests;
mod update;

pub(crate) use apply::apply;
pub(crate) use managers::UNKNOWN;
pub(crate) use update::update;

use crate::kinds::Kind;
use crate::schema::table;
use serde_json::Value;

/// Who writes, and in which form.
#[derive(Debug, Clone)]
pub(crate) struct Writer<'a> {
    /// `kubectl`, `kube-controller-manager`.
    pub(crate) manager: String,
    /// `status`, `scale`; empty for the object itself.
    pub(crate) subresource: &'static str,
    /// The kind as the request names it.
    pub(crate) kind: &'static Kind,
    /// Its version.
    pub(crate) version: &'a str,
}

/// A server-side apply.
#[derive(Debug)]
pub(crate) struct Apply<'a> {
    pub(crate) writer: Writer<'a>,
    /// The configuration; it fits the schema.
    pub(crate) config: &'a Value,
    /// Whether fields of others are taken over.
    pub(crate) force: bool,
    /// The time, RFC 3339.
    pub(crate) now: &'a str,
}

/// All that is wrong with a configuration of that group, version and kind.
pub(crate) fn misfits(group: &str, version: &str, kind: &str, config: &Value) -> Vec<String> {
    table().kind(group, version, kind).map_or_else(Vec::new, |id| check::check(config, id))
}
