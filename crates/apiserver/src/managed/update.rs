//! Who manages what after an ordinary write: create, update, patch.

use super::Writer;
use super::compare::Comparison;
use super::form::{Form, ignored, unmanaged};
use super::managers::{Entry, Id, Managers, Operation};
use super::set::Set;
use crate::kinds::Kind;
use serde_json::{Map, Value};

/// `metadata.managedFields` after a write that makes `new` of `live` (`None`: it is created), both as `from` has them.
/// `given` is what the request says about it: `[]` or `[{}]` forgets all managers, a list replaces the standing one, null
/// and what cannot be read leave it. A write that changes nothing returns the standing list as it is.
pub(crate) fn update(
    writer: &Writer<'_>,
    from: &'static Kind,
    live: Option<&Value>,
    new: &Value,
    given: &Value,
    now: &str,
) -> Value {
    let standing = live.map_or(&Value::Null, |live| &live["metadata"]["managedFields"]);
    let (mut managers, replaced) = base(writer, standing, given);
    // an object that nobody manages (since somebody reset that) is not tracked until it is applied
    if managers.0.is_empty() && live.is_some() {
        return Value::Null;
    }
    let Some(form) = Form::of(writer.kind, writer.version) else { return standing.clone() };
    let nothing = Value::Object(Map::new());
    let live = live.unwrap_or(&nothing);
    let mut changes = Changes::new(writer, from, live, new);
    let own = changes.in_form(form);
    if own.is_same() && !replaced {
        return standing.clone();
    }
    let taken = own.modified.union(&own.added).difference(unmanaged());
    managers.0.retain(|_, entry| {
        let Some(form) = Form::named(writer.kind, &entry.api_version) else { return false };
        entry.fields = without_changed(&entry.fields, changes.in_form(form));
        !entry.fields.is_empty()
    });
    if !taken.is_empty() {
        let entry = managers.0.entry(writer.id(Operation::Update)).or_insert_with(|| Entry {
            api_version: writer.api_version(),
            time: None,
            fields: Set::default(),
        });
        entry.fields.add(&taken);
        entry.time = Some(now.to_owned());
    }
    managers.cap();
    managers.to_value()
}

/// The managers before the write, and whether the request brought them.
fn base(writer: &Writer<'_>, standing: &Value, given: &Value) -> (Managers, bool) {
    let stand = || Managers::parse(standing).unwrap_or_default();
    if !writer.subresource.is_empty() || given == standing {
        return (stand(), false);
    }
    match given.as_array().map(Vec::as_slice) {
        None => return (stand(), false),
        Some([]) => return (Managers::default(), true),
        Some([one]) if one.as_object().is_some_and(Map::is_empty) => return (Managers::default(), true),
        Some(_) => {}
    }
    match Managers::parse(given) {
        Ok(managers) if !managers.0.is_empty() => (managers, true),
        _ => (stand(), false),
    }
}

fn without_changed(fields: &Set, changes: &Comparison) -> Set {
    fields.difference(&changes.modified).difference(&changes.added).difference(&changes.removed)
}

/// What a write changes, in every form that a manager wrote in.
pub(super) struct Changes<'a> {
    from: &'static Kind,
    old: &'a Value,
    new: &'a Value,
    ignored: &'static Set,
    found: Vec<(Form, Comparison)>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(writer: &Writer<'_>, from: &'static Kind, old: &'a Value, new: &'a Value) -> Self {
        let ignored = ignored(writer.kind, writer.subresource);
        Self { from, old, new, ignored, found: Vec::new() }
    }

    /// The changes as a form has them.
    pub(super) fn in_form(&mut self, form: Form) -> &Comparison {
        let at = self.found.iter().position(|(known, _)| known.same_as(form)).unwrap_or_else(|| {
            let comparison = form.compare(self.from, self.old, self.new).excluding(self.ignored);
            self.found.push((form, comparison));
            self.found.len() - 1
        });
        &self.found[at].1
    }
}

impl Writer<'_> {
    /// Who this is, for an operation.
    pub(super) fn id(&self, operation: Operation) -> Id {
        let applied = operation == Operation::Apply;
        Id {
            manager: self.manager.clone(),
            operation,
            api_version: if applied { String::new() } else { self.api_version() },
            subresource: self.subresource.to_owned(),
        }
    }

    /// `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        self.kind.api_version(self.version)
    }
}
