//! Owner references.

use crate::objects::Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

/// The owner that controls an object, if one does.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// True if the object with `uid` controls the other.
pub(crate) fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller_of(meta).is_some_and(|owner| owner.uid == uid)
}

/// The reference by which an owner controls an object.
pub(crate) fn controller_reference<K: Object>(owner: &K) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "name": owner.meta().name,
        "uid": owner.meta().uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The references of an object plus that of its new controller.
pub(crate) fn adopted(meta: &ObjectMeta, reference: Value) -> Vec<Value> {
    let mut references: Vec<Value> = meta.owner_references.iter().flatten().map(|r| json!(r)).collect();
    references.push(reference);
    references
}

/// The references of an object without those to the given owners; null when none are left, so that a merge patch
/// removes the field.
pub(crate) fn released(meta: &ObjectMeta, uids: &[&str]) -> Value {
    let kept: Vec<&OwnerReference> =
        meta.owner_references.iter().flatten().filter(|owner| !uids.contains(&owner.uid.as_str())).collect();
    if kept.is_empty() { Value::Null } else { json!(kept) }
}

/// A merge patch of the metadata that only fits the version of the object that was looked at.
pub(crate) fn precise(meta: &ObjectMeta, field: &str, value: impl Into<Value>) -> Value {
    json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, field: value.into()}})
}

/// True if the object is on its way out.
pub(crate) fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// The uid, which every object of the API has.
pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// The name, which every object of the API has.
pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The namespace; empty for cluster-scoped objects.
pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}
