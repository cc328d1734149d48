//! Create, and the Binding of a Pod.

use super::{ALLOCATE_ATTEMPTS, Location, Lost, Registry, Tracking, contended, convert, key, meta, object};
use crate::status::ApiError;
use sealane_storage::{Condition, Key, Op};
use serde_json::{Value, json};

/// A generated name is the prefix and this many characters.
const SUFFIX: usize = 5;
/// The longest prefix of a generated name.
const PREFIX_MAX: usize = 63 - SUFFIX;
/// Without vowels and what looks like another character.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How often a generated name is drawn anew when it is taken.
const NAME_ATTEMPTS: u32 = 8;

impl Registry {
    /// Creates an object at `at` (whose name is empty) and returns it as served.
    pub(crate) async fn create(
        &self,
        at: &Location<'_>,
        mut object: Value,
        tracking: Tracking<'_>,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        self.fix_namespace(at, &mut object)?;
        let prefix = object::meta(&object, "generateName").to_owned();
        let generated = object::meta(&object, "name").is_empty() && !prefix.is_empty();
        if generated {
            object::set_meta(&mut object, "name", json!(generated_name(&prefix)));
        }
        let mut object = self.prepare(at, object, tracking)?;
        for attempt in 0..NAME_ATTEMPTS {
            match self.insert(at, &object, dry_run).await {
                Err(e) if generated && e.reason == "AlreadyExists" && attempt + 1 < NAME_ATTEMPTS => {
                    object::set_meta(&mut object, "name", json!(generated_name(&prefix)));
                }
                result => {
                    let mut stored = result?;
                    Self::strategy(at.kind).on_read(&mut stored);
                    convert::to_version(at.kind, at.version, &mut stored);
                    return Ok(stored);
                }
            }
        }
        Err(ApiError::internal("no generated name was free"))
    }

    /// The object's namespace is the request's.
    fn fix_namespace(&self, at: &Location<'_>, object: &mut Value) -> Result<(), ApiError> {
        let given = object::meta(object, "namespace").to_owned();
        if !at.kind.namespaced {
            object::set_meta(object, "namespace", Value::Null);
            return Ok(());
        }
        if !given.is_empty() && given != at.namespace {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(why));
        }
        object::set_meta(object, "namespace", json!(at.namespace));
        Ok(())
    }

    /// The object in its stored version, defaulted and found valid.
    fn prepare(
        &self,
        at: &Location<'_>,
        mut object: Value,
        tracking: Tracking<'_>,
    ) -> Result<Value, ApiError> {
        if !object::meta(&object, "resourceVersion").is_empty() {
            return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let strategy = Self::strategy(at.kind);
        convert::to_stored(at.kind, &mut object);
        let managers = object::take_meta(&mut object, "managedFields");
        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object::set_meta(&mut object, field, Value::Null);
        }
        object::set_meta(&mut object, "uid", json!(object::new_uid()));
        object::set_meta(&mut object, "creationTimestamp", json!(object::timestamp(jiff::Timestamp::now())));
        strategy.default(&mut object);
        tracking.settle(at.kind, None, &mut object, managers);
        strategy.prepare_create(&mut object);
        let mut errors = meta::validate_create(at.kind, &object);
        errors.extend(strategy.validate(&object));
        let name = object::meta(&object, "name");
        if !errors.is_empty() {
            return Err(ApiError::invalid(at.kind.group, at.kind.kind, name, &errors));
        }
        if at.kind.namespaced {
            self.check_namespace(at, name)?;
        }
        Ok(object)
    }

    /// A namespace that is not there is 404, one that is going takes nothing new.
    fn check_namespace(&self, at: &Location<'_>, name: &str) -> Result<(), ApiError> {
        let entry = self.store.get(&namespace_key(at.namespace));
        let namespace =
            object::decode(&entry.ok_or_else(|| ApiError::not_found("", "namespaces", at.namespace))?)?;
        if !object::is_deleting(&namespace) {
            return Ok(());
        }
        let ns = at.namespace;
        let why = format!("unable to create new content in namespace {ns} because it is being terminated");
        let mut error = ApiError::forbidden(at.kind.group, at.kind.plural, name, &why);
        error.details["causes"] = json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": format!("namespace {ns} is being terminated")}]);
        Err(error)
    }

    async fn insert(&self, at: &Location<'_>, base: &Value, dry_run: bool) -> Result<Value, ApiError> {
        let name = object::meta(base, "name").to_owned();
        let at = Location { name: &name, ..*at };
        let namespace = at.kind.namespaced.then(|| namespace_key(at.namespace));
        let exists = || ApiError::already_exists(at.kind.group, at.kind.plural, &name);
        if self.store.get(&at.key()).is_some() {
            return Err(exists());
        }
        for attempt in 0..ALLOCATE_ATTEMPTS {
            let mut object = base.clone();
            let context = self.allocate_context(attempt, dry_run);
            let claims = Self::strategy(at.kind).allocate(&context, &mut object, None)?;
            if dry_run {
                return Ok(object);
            }
            let put = Op::Put(at.key(), object::encode(&object));
            match self.commit(Condition::Absent(at.key()), namespace.clone(), put, claims).await {
                Ok(revision) => {
                    object::set_revision(&mut object, revision);
                    return Ok(object);
                }
                Err(Lost::Object) => return Err(exists()),
                Err(Lost::Namespace) => return Err(ApiError::not_found("", "namespaces", at.namespace)),
                Err(Lost::Claim) => {}
                Err(Lost::Error(e)) => return Err(e),
            }
        }
        Err(contended(&at))
    }
}

pub(super) fn namespace_key(name: &str) -> Key {
    key::object_key("", "namespaces", "", name)
}

fn generated_name(prefix: &str) -> String {
    let mut name: String = prefix.chars().take(PREFIX_MAX).collect();
    name.extend((0..SUFFIX).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])));
    name
}

/// A Pod bound to the node that a Binding names (`pkg/registry/core/pod/storage/storage.go`).
pub(crate) fn bind(at: &Location<'_>, pod: &Value, binding: &Value) -> Result<Value, ApiError> {
    let conflict = |why: &str| ApiError::conflict("", "pods/binding", at.name, why);
    let target = &binding["target"];
    let node = target["name"].as_str().unwrap_or_default();
    if node.is_empty() || !matches!(target["kind"].as_str(), None | Some("" | "Node")) {
        return Err(ApiError::bad_request("a Binding's target must be a Node with a name"));
    }
    if object::is_deleting(pod) {
        return Err(conflict(&format!("pod {} is being deleted, cannot be assigned to a host", at.name)));
    }
    if let Some(bound) = pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        return Err(conflict(&format!("pod {} is already assigned to node \"{bound}\"", at.name)));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = json!(node);
    for (key, value) in binding["metadata"]["annotations"].as_object().into_iter().flatten() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": object::timestamp(jiff::Timestamp::now())});
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|c| c["type"] != "PodScheduled");
        list.push(scheduled);
    }
    Ok(pod)
}
