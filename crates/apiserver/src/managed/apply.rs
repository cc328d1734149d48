//! Server-side apply (KEP-555): a configuration laid over an object by a manager who owns what it says.
//!
//! `structured-merge-diff/merge/update.go` and `apimachinery/pkg/util/managedfields`.

use super::collect::collect;
use super::conflict::Conflicts;
use super::form::{Form, ignored, unmanaged};
use super::last_applied;
use super::managers::{Entry, Id, Managers, Operation};
use super::merge::{keep_structs, merge, remove};
use super::set::Set;
use super::update::Changes;
use super::{Apply, Writer};
use crate::registry::object;
use crate::status::ApiError;
use serde_json::{Map, Value};

/// The manager of what was there before anybody was tracked.
const BEFORE: &str = "before-first-apply";

/// What a configuration makes of an object (`{}` if there is none yet), both as the writer has them; the answer has its
/// `metadata.managedFields`. `tidy` brings the merged object into canonical form.
///
/// # Errors
/// 409 with all conflicts, unless forced; what `tidy` refuses.
pub(crate) fn apply(
    request: &Apply<'_>,
    live: &Value,
    tidy: &dyn Fn(&mut Value) -> Result<(), ApiError>,
) -> Result<Value, ApiError> {
    let writer = &request.writer;
    let form = Form::of(writer.kind, writer.version)
        .ok_or_else(|| ApiError::internal(format_args!("{} has no schema", writer.kind.kind)))?;
    let run = Run { request, form, tidy };
    match run.merge(live, request.force)? {
        Ok(object) => Ok(object),
        Err(conflicts) if writer.manager == last_applied::KUBECTL => {
            let allowed = last_applied::allowed(live, form, &writer.api_version());
            let conflicts = conflicts.outside(&allowed);
            if !conflicts.is_empty() {
                return Err(conflicts.error());
            }
            run.merge(live, true)?.map_err(|conflicts| conflicts.error())
        }
        Err(conflicts) => Err(conflicts.error()),
    }
}

struct Run<'a> {
    request: &'a Apply<'a>,
    form: Form,
    tidy: &'a dyn Fn(&mut Value) -> Result<(), ApiError>,
}

impl Run<'_> {
    fn merge(&self, live: &Value, force: bool) -> Result<Result<Value, Conflicts>, ApiError> {
        let (writer, config) = (&self.request.writer, self.request.config);
        let mut managers = Managers::parse(&live["metadata"]["managedFields"])
            .map_err(|e| ApiError::internal(format_args!("failed to decode managed fields: {e}")))?;
        let mut live = live.clone();
        if live.get("metadata").is_some() {
            object::set_meta(&mut live, "managedFields", Value::Null);
        }
        if managers.0.is_empty() && !object::meta(&live, "uid").is_empty() {
            self.add_what_was_there(&live, &mut managers);
        }
        let merged = merge(Some(&live), Some(config), self.form.node()).unwrap_or(Value::Null);
        let id = writer.id(Operation::Apply);
        let last = managers.0.remove(&id);
        let set = collect(config, self.form.node()).without_below(ignored(writer.kind, writer.subresource));
        let last_fields = last.as_ref().map_or_else(Set::default, |last| last.fields.clone());
        let entry = Entry { api_version: writer.api_version(), time: None, fields: set };
        managers.0.insert(id.clone(), entry);
        let mut new = self.prune(merged, &managers, last.as_ref());
        (self.tidy)(&mut new)?;
        let changed = match self.settle(&mut managers, &id, &live, &new, force) {
            Ok(changed) => changed,
            Err(conflicts) => return Ok(Err(conflicts)),
        };
        if let Some(entry) = managers.0.get_mut(&id) {
            entry.fields = entry.fields.difference(unmanaged());
            let news = changed || entry.fields != last_fields;
            let time = last.and_then(|last| last.time).filter(|_| !news);
            entry.time = Some(time.unwrap_or_else(|| self.request.now.to_owned()));
        }
        managers.0.retain(|_, entry| !entry.fields.is_empty());
        object::set_meta(&mut new, "managedFields", managers.to_value());
        last_applied::refresh(&mut new, config, &writer.manager);
        Ok(Ok(new))
    }

    /// Somebody manages all that stands.
    fn add_what_was_there(&self, live: &Value, managers: &mut Managers) {
        let before = Writer { manager: BEFORE.to_owned(), ..self.request.writer.clone() };
        let nothing = Value::Object(Map::new());
        let mut changes = Changes::new(&before, before.kind, &nothing, live);
        let all = changes.in_form(self.form);
        let fields = all.added.union(&all.modified).difference(unmanaged());
        if !fields.is_empty() {
            let time = Some(self.request.now.to_owned());
            let entry = Entry { api_version: before.api_version(), time, fields };
            managers.0.insert(before.id(Operation::Update), entry);
        }
    }

    /// Takes from the others what changes; `Ok`: whether anything does.
    fn settle(
        &self,
        managers: &mut Managers,
        own: &Id,
        live: &Value,
        new: &Value,
        force: bool,
    ) -> Result<bool, Conflicts> {
        let kind = self.request.writer.kind;
        let mut changes = Changes::new(&self.request.writer, kind, live, new);
        let mut conflicts = Conflicts::default();
        managers.0.retain(|id, entry| {
            if id == own {
                return true;
            }
            let Some(form) = Form::named(kind, &entry.api_version) else { return false };
            let changes = changes.in_form(form);
            let taken = entry.fields.intersection(&changes.modified.union(&changes.added));
            entry.fields = entry.fields.difference(&taken).difference(&changes.removed);
            if !taken.is_empty() {
                conflicts.add(id, &taken);
            }
            !entry.fields.is_empty()
        });
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        Ok(!changes.in_form(self.form).is_same())
    }

    /// Removes what this manager applied last time, does not now, and nobody else owns.
    fn prune(&self, merged: Value, managers: &Managers, last: Option<&Entry>) -> Value {
        let Some(last) = last.filter(|last| !last.fields.is_empty()) else { return merged };
        // paths of another group mean nothing here: an Event that is managed in both keeps what it has
        let here =
            |version: &str| Form::named(self.form.kind, version).is_some_and(|form| form.same_as(self.form));
        if !here(&last.api_version) || !managers.0.values().all(|entry| here(&entry.api_version)) {
            return merged;
        }
        let node = self.form.node();
        let last = last.fields.with_named_fields(node);
        let of = |object: &Value| collect(object, node).with_named_fields(node);
        let all = of(&merged);
        let mut kept = of(&remove(&merged, &last, node));
        for entry in managers.0.values() {
            kept.add(&entry.fields.with_named_fields(node));
        }
        // what lies in a removed object goes with it, but what nobody applied stays
        let pruned = remove(&merged, &all.difference(&kept), node);
        let mut left = remove(&merged, &all.difference(&of(&pruned)).intersection(&last), node);
        keep_structs(&merged, &mut left, node);
        left
    }
}
