//! Delete: preconditions, grace, finalizers, propagation.
//!
//! Semantics: `staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go` (`Delete`) and
//! `pkg/registry/rest/delete.go` (`BeforeDelete`).

use super::{ListOptions, Location, Lost, Registry, convert, object};
use crate::kinds::Kind;
use crate::status::ApiError;
use jiff::{SignedDuration, Timestamp};
use sealane_storage::{Condition, Op};
use serde_json::{Value, json};

const RETRIES: u32 = 64;
/// Dependents go first.
const FOREGROUND: &str = "foregroundDeletion";
/// Dependents stay.
const ORPHAN: &str = "orphan";
/// Namespaces that may not go.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// What becomes of the objects that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a DELETE asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    propagation: Option<Propagation>,
    /// In seconds; only Pods have grace.
    grace: Option<i64>,
    uid: Option<String>,
    resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// From the body (a DeleteOptions object, or null), over which the query parameters of the same names win.
    pub(crate) fn parse(body: &Value, query: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let number = |v: String| {
            v.parse::<i64>().map_err(|_| ApiError::bad_request("gracePeriodSeconds must be a number"))
        };
        let grace = match query("gracePeriodSeconds") {
            Some(text) => Some(number(text)?),
            None => body["gracePeriodSeconds"].as_i64(),
        };
        let orphan = query("orphanDependents").map(|v| v == "true").or(body["orphanDependents"].as_bool());
        let policy = query("propagationPolicy").or(body["propagationPolicy"].as_str().map(str::to_owned));
        let propagation = match (policy.as_deref(), orphan) {
            (Some("Background"), None) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Foreground"), None) => Some(Propagation::Foreground),
            (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
            (None | Some(""), None) => None,
            (Some(_), Some(_)) => {
                return Err(invalid("orphanDependents and deletionPropagation cannot be both set"));
            }
            (Some(_), None) => return Err(invalid("must be one of Foreground, Background, Orphan or nil")),
        };
        let precondition = |name: &str| body["preconditions"][name].as_str().map(str::to_owned);
        let dry_run = query("dryRun").is_some() || body["dryRun"].as_array().is_some_and(|d| !d.is_empty());
        Ok(Self {
            propagation,
            grace: grace.map(|g| if g < 0 { 1 } else { g }),
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            dry_run,
        })
    }
}

fn invalid(why: &str) -> ApiError {
    let error =
        crate::FieldError::new(crate::FieldErrorKind::Invalid, "propagationPolicy", &Value::Null, why);
    ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[error])
}

/// What a DELETE did.
pub(crate) struct Deleted {
    /// The object as it was, or as it stands now if it is only marked.
    pub(crate) object: Value,
    /// Whether it is gone.
    pub(crate) gone: bool,
}

/// What to do to an object.
#[derive(Debug, PartialEq)]
enum Plan {
    Remove,
    Mark(Value),
    Keep,
}

impl Registry {
    /// Deletes one object, or marks it for deletion.
    pub(crate) async fn delete(
        &self,
        at: &Location<'_>,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        if at.kind.group.is_empty() && at.kind.kind == "Namespace" && IMMORTAL.contains(&at.name) {
            return Err(ApiError::forbidden("", "namespaces", at.name, "this namespace may not be deleted"));
        }
        for _ in 0..RETRIES {
            let entry = self.entry(at)?;
            let old = object::decode(&entry)?;
            check_preconditions(at, &old, options)?;
            Self::strategy(at.kind).check_delete(&*self.store, &old)?;
            let plan = plan(at.kind, &old, options, Timestamp::now());
            let (op, claims, mut shown, gone) = match plan {
                Plan::Keep => return Ok(self.deleted(at, old, false)),
                Plan::Mark(new) => {
                    (Op::Put(at.key(), object::encode(&new)), crate::strategy::Claims::default(), new, false)
                }
                Plan::Remove => {
                    let context = self.allocate_context(0, options.dry_run);
                    (Op::Delete(at.key()), Self::strategy(at.kind).release(&context, &old), old, true)
                }
            };
            if options.dry_run {
                return Ok(self.deleted(at, shown, gone));
            }
            let lock = Condition::ModRevision(at.key(), entry.mod_revision);
            match self.commit(lock, None, op, claims).await {
                Ok(revision) => {
                    object::set_revision(&mut shown, revision);
                    return Ok(self.deleted(at, shown, gone));
                }
                Err(Lost::Error(e)) => return Err(e),
                Err(Lost::Object | Lost::Namespace | Lost::Claim) => {}
            }
        }
        Err(at.modified())
    }

    fn deleted(&self, at: &Location<'_>, mut object: Value, gone: bool) -> Deleted {
        Self::strategy(at.kind).on_read(&mut object);
        convert::to_version(at.kind, at.version, &mut object);
        Deleted { object, gone }
    }

    /// Deletes all that a list would show; returns the objects.
    pub(crate) async fn delete_collection(
        &self,
        at: &Location<'_>,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Vec<Value>, ApiError> {
        let mut objects = Vec::new();
        for entry in self.list(at.kind, at.namespace, list)?.entries {
            let object = object::decode(&entry)?;
            let one = Location {
                namespace: object::meta(&object, "namespace"),
                name: object::meta(&object, "name"),
                ..*at
            };
            match self.delete(&one, options).await {
                Ok(deleted) => objects.push(deleted.object),
                Err(e) if e.code == 404 => {}
                Err(e) => return Err(e),
            }
        }
        Ok(objects)
    }
}

fn check_preconditions(at: &Location<'_>, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    for (wanted, field, what) in
        [(&options.uid, "uid", "UID"), (&options.resource_version, "resourceVersion", "ResourceVersion")]
    {
        let standing = object::meta(old, field);
        if let Some(wanted) = wanted.as_deref().filter(|w| *w != standing) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {standing}"
            );
            return Err(ApiError::conflict(at.kind.group, at.kind.plural, at.name, &why));
        }
    }
    Ok(())
}

/// Whether a field of the object itself holds it back: a namespace's `spec.finalizers`.
pub(super) fn held_by_spec(kind: &Kind, object: &Value) -> bool {
    kind.kind == "Namespace"
        && kind.group.is_empty()
        && object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

fn plan(kind: &Kind, old: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let mut new = old.clone();
    if let Some(policy) = options.propagation {
        let mut finalizers = object::finalizers(&new);
        finalizers.retain(|f| f != FOREGROUND && f != ORPHAN);
        match policy {
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
            Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        }
        object::set_finalizers(&mut new, &finalizers);
    }
    let held = !object::finalizers(&new).is_empty() || held_by_spec(kind, &new);
    let grace = grace(kind, old, options);
    if grace == 0 && !held {
        return Plan::Remove;
    }
    mark(kind, old, &mut new, grace, now);
    if new == *old { Plan::Keep } else { Plan::Mark(new) }
}

/// The seconds that the object is given from here on.
fn grace(kind: &Kind, old: &Value, options: &DeleteOptions) -> i64 {
    if kind.kind != "Pod" {
        return 0;
    }
    if object::is_deleting(old) {
        let standing = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        return options.grace.map_or(standing, |g| g.min(standing));
    }
    let unscheduled = old["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    if unscheduled || matches!(old["status"]["phase"].as_str(), Some("Failed" | "Succeeded")) {
        return 0;
    }
    options.grace.unwrap_or_else(|| old["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30))
}

fn mark(kind: &Kind, old: &Value, new: &mut Value, grace: i64, now: Timestamp) {
    if object::is_deleting(old) {
        let standing = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        if grace < standing {
            let at = object::meta(old, "deletionTimestamp").parse::<Timestamp>().unwrap_or(now);
            let at = at.saturating_sub(SignedDuration::from_secs(standing - grace)).unwrap_or(now);
            object::set_meta(new, "deletionTimestamp", json!(object::timestamp(at)));
            object::set_meta(new, "deletionGracePeriodSeconds", json!(grace));
        }
        return;
    }
    let at = now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    object::set_meta(new, "deletionTimestamp", json!(object::timestamp(at)));
    object::set_meta(new, "deletionGracePeriodSeconds", json!(grace));
    if let Some(generation) = old["metadata"]["generation"].as_i64() {
        object::set_meta(new, "generation", json!(generation + 1));
    }
    if kind.kind == "Namespace" {
        new["status"]["phase"] = json!("Terminating");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(body: &Value) -> DeleteOptions {
        DeleteOptions::parse(body, |_| None).unwrap()
    }

    fn planned(kind: &str, old: &Value, body: &Value) -> Plan {
        plan(
            crate::kinds::of("", kind).unwrap(),
            old,
            &options(body),
            "2026-11-23T12:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn grace_and_finalizers() {
        let cm = json!({"metadata": {"name": "a"}});
        assert_eq!(planned("ConfigMap", &cm, &json!({})), Plan::Remove);
        assert_eq!(planned("ConfigMap", &cm, &json!({"gracePeriodSeconds": 30})), Plan::Remove);
        let Plan::Mark(marked) = planned("ConfigMap", &cm, &json!({"propagationPolicy": "Foreground"}))
        else {
            panic!("foreground marks");
        };
        assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-11-23T12:00:00Z");
        assert_eq!(planned("ConfigMap", &marked, &json!({})), Plan::Keep);
        assert_eq!(planned("ConfigMap", &marked, &json!({"propagationPolicy": "Background"})), Plan::Remove);
    }

    #[test]
    fn a_scheduled_pod_has_grace() {
        let pod = json!({"metadata": {"name": "p", "generation": 1}, "spec": {"nodeName": "n"}});
        let Plan::Mark(marked) = planned("Pod", &pod, &json!({})) else { panic!("a running Pod is marked") };
        assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-11-23T12:00:30Z");
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(marked["metadata"]["generation"], 2);
        assert_eq!(planned("Pod", &marked, &json!({})), Plan::Keep);
        assert_eq!(planned("Pod", &marked, &json!({"gracePeriodSeconds": 60})), Plan::Keep);
        let Plan::Mark(shorter) = planned("Pod", &marked, &json!({"gracePeriodSeconds": 10})) else {
            panic!("grace is shortened");
        };
        assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-11-23T12:00:10Z");
        assert_eq!(planned("Pod", &marked, &json!({"gracePeriodSeconds": 0})), Plan::Remove);
        assert_eq!(planned("Pod", &json!({"metadata": {"name": "p"}, "spec": {}}), &json!({})), Plan::Remove);
        let done = json!({"metadata": {}, "spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}});
        assert_eq!(planned("Pod", &done, &json!({})), Plan::Remove);
    }

    #[test]
    fn a_namespace_waits_for_its_finalizer() {
        let ns = json!({"metadata": {"name": "x"}, "spec": {"finalizers": ["kubernetes"]}});
        let Plan::Mark(marked) = planned("Namespace", &ns, &json!({})) else { panic!("marked") };
        assert_eq!(marked["status"]["phase"], "Terminating");
        let free = json!({"metadata": {"name": "x"}, "spec": {"finalizers": []}});
        assert_eq!(planned("Namespace", &free, &json!({})), Plan::Remove);
    }

    #[test]
    fn contradictions_are_refused() {
        for body in [
            json!({"propagationPolicy": "Sideways"}),
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        ] {
            assert_eq!(DeleteOptions::parse(&body, |_| None).unwrap_err().code, 422);
        }
        let options =
            DeleteOptions::parse(&json!({}), |q| (q == "gracePeriodSeconds").then(|| "-1".to_owned()));
        assert_eq!(options.unwrap().grace, Some(1));
    }
}
