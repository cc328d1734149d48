//! Update and patch: one loop under an optimistic lock.

use super::{ALLOCATE_ATTEMPTS, Location, Lost, Registry, Tracking, contended, convert, meta, object};
use crate::status::ApiError;
use crate::strategy::{Part, Strategy};
use sealane_storage::{Condition, Op};
use serde_json::{Value, json};

/// How often a patch is applied anew when somebody else wrote in between.
const RETRIES: u32 = 64;

/// A new object made from the standing one; both in the version of the request.
pub(crate) type Change<'a> = &'a (dyn Fn(&Value) -> Result<Value, ApiError> + Send + Sync);

impl Registry {
    /// Writes what `change` makes of the object. An empty or unchanged resourceVersion in it means "whatever stands".
    /// Returns the object as served. An object that is being deleted goes with its last finalizer.
    pub(crate) async fn update(
        &self,
        at: &Location<'_>,
        part: Part,
        change: Change<'_>,
        tracking: Tracking<'_>,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        let mut attempt = 0;
        for _ in 0..RETRIES {
            let entry = self.entry(at)?;
            let old = object::decode(&entry)?;
            let mut shown = old.clone();
            convert::to_version(at.kind, at.version, &mut shown);
            let mut new = change(&shown)?;
            check_identity(at, &old, &new)?;
            convert::to_stored(at.kind, &mut new);
            let mut new = prepare(at, &old, new, part, tracking)?;
            let context = self.allocate_context(attempt, dry_run);
            let mut claims = Self::strategy(at.kind).allocate(&context, &mut new, Some(&old))?;
            let gone = goes_with_update(at, &new);
            if dry_run || (new == old && !gone) {
                return Ok(self.shown(at, new));
            }
            let op = if gone {
                let released = Self::strategy(at.kind).release(&context, &old);
                claims.conditions = released.conditions;
                claims.ops = released.ops;
                Op::Delete(at.key())
            } else {
                Op::Put(at.key(), object::encode(&new))
            };
            let lock = Condition::ModRevision(at.key(), entry.mod_revision);
            match self.commit(lock, None, op, claims).await {
                Ok(revision) => {
                    object::set_revision(&mut new, revision);
                    return Ok(self.shown(at, new));
                }
                Err(Lost::Object | Lost::Namespace) => {}
                Err(Lost::Claim) => {
                    attempt += 1;
                    if attempt == ALLOCATE_ATTEMPTS {
                        return Err(contended(at));
                    }
                }
                Err(Lost::Error(e)) => return Err(e),
            }
        }
        Err(at.modified())
    }

    fn shown(&self, at: &Location<'_>, mut object: Value) -> Value {
        Self::strategy(at.kind).on_read(&mut object);
        convert::to_version(at.kind, at.version, &mut object);
        object
    }
}

/// The object is the one that the URL names, and the one that the caller saw.
fn check_identity(at: &Location<'_>, old: &Value, new: &Value) -> Result<(), ApiError> {
    let name = object::meta(new, "name");
    if name != at.name {
        let why = format!("the name of the object ({name}) does not match the name on the URL ({})", at.name);
        return Err(ApiError::bad_request(why));
    }
    let namespace = object::meta(new, "namespace");
    if at.kind.namespaced && !namespace.is_empty() && namespace != at.namespace {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(ApiError::bad_request(why));
    }
    let (uid, standing) = (object::meta(new, "uid"), object::meta(old, "uid"));
    if !uid.is_empty() && uid != standing {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {standing}");
        return Err(ApiError::conflict(at.kind.group, at.kind.plural, at.name, &why));
    }
    let revision = object::meta(new, "resourceVersion");
    if !revision.is_empty() && revision != object::meta(old, "resourceVersion") {
        if revision.parse::<u64>().is_err() {
            let error =
                crate::FieldError::invalid("metadata.resourceVersion", &json!(revision), "must be a number");
            return Err(ApiError::invalid(at.kind.group, at.kind.kind, at.name, &[error]));
        }
        return Err(at.modified());
    }
    Ok(())
}

/// Puts back what an update may not change, defaults and validates.
fn prepare(
    at: &Location<'_>,
    old: &Value,
    mut new: Value,
    part: Part,
    tracking: Tracking<'_>,
) -> Result<Value, ApiError> {
    let managers = object::take_meta(&mut new, "managedFields");
    let mut new = match part {
        Part::Status => with_status_of(old, &new),
        Part::Main | Part::Other => new,
    };
    let strategy: &dyn Strategy = Registry::strategy(at.kind);
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "namespace",
        "resourceVersion",
        "generation",
        "generateName",
        "selfLink",
    ] {
        object::set_meta(&mut new, field, old["metadata"][field].clone());
    }
    if part == Part::Main && at.kind.has(crate::kinds::Subresource::Status) {
        set_status(&mut new, old["status"].clone());
    }
    strategy.default(&mut new);
    tracking.settle(at.kind, Some(old), &mut new, managers);
    strategy.prepare_update(&mut new, old, part);
    let mut errors = meta::validate(&new);
    errors.extend(new_finalizer_errors(old, &new));
    errors.extend(strategy.validate_update(&new, old, part));
    if errors.is_empty() {
        Ok(new)
    } else {
        Err(ApiError::invalid(at.kind.group, at.kind.kind, at.name, &errors))
    }
}

/// Nobody may hold back an object that is already going.
fn new_finalizer_errors(old: &Value, new: &Value) -> Option<crate::FieldError> {
    if !object::is_deleting(old) {
        return None;
    }
    let standing = object::finalizers(old);
    let added: Vec<String> = object::finalizers(new).into_iter().filter(|f| !standing.contains(f)).collect();
    if added.is_empty() {
        return None;
    }
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    Some(crate::FieldError::forbidden("metadata.finalizers", why))
}

/// A write of the status changes the status, and of the metadata what a caller may say about it.
fn with_status_of(old: &Value, new: &Value) -> Value {
    let mut object = old.clone();
    set_status(&mut object, new["status"].clone());
    for field in ["annotations", "labels", "finalizers"] {
        object::set_meta(&mut object, field, new["metadata"][field].clone());
    }
    object
}

fn set_status(object: &mut Value, status: Value) {
    if let Some(fields) = object.as_object_mut() {
        if status.is_null() {
            fields.remove("status");
        } else {
            fields.insert("status".to_owned(), status);
        }
    }
}

/// Whether this write lets a going object go: no finalizer is left, and no grace.
fn goes_with_update(at: &Location<'_>, new: &Value) -> bool {
    object::is_deleting(new)
        && object::finalizers(new).is_empty()
        && new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !super::delete::held_by_spec(at.kind, new)
}
