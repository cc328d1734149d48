//! Whose is it: what an owner owns, adopts and lets go.

use crate::objects::Object;
use crate::owner::{controller_of, is_deleting, uid};
use crate::selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;
use std::sync::Arc;

/// The objects that concern an owner.
#[derive(Debug)]
pub(crate) struct Claim<K> {
    /// Its own.
    pub(crate) owned: Vec<Arc<K>>,
    /// Orphans that its selector selects: it becomes their controller.
    pub(crate) adopt: Vec<Arc<K>>,
    /// Its own that its selector no longer selects: they are let go.
    pub(crate) release: Vec<Arc<K>>,
}

/// Sorts the objects of an owner's namespace. `adoptable` is what may be adopted besides.
pub(crate) fn claim<K: Object>(
    owner: &ObjectMeta,
    selector: &LabelSelector,
    candidates: Vec<Arc<K>>,
    adoptable: impl Fn(&K) -> bool,
) -> Claim<K> {
    let mut claim = Claim { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    let selects = |object: &K| {
        !selector::is_empty(selector) && selector::matches(selector, object.meta().labels.as_ref())
    };
    for object in candidates {
        match controller_of(object.meta()) {
            Some(controller) if controller.uid != uid(owner) => {}
            Some(_) if selects(&object) || is_deleting(object.meta()) => claim.owned.push(object),
            // An owner on its way out lets the garbage collector have its dependents.
            Some(_) if is_deleting(owner) => claim.owned.push(object),
            Some(_) => claim.release.push(object),
            None if is_deleting(owner) || is_deleting(object.meta()) => {}
            None if selects(&object) && adoptable(&object) => claim.adopt.push(object),
            None => {}
        }
    }
    claim
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn pod(name: &str, app: &str, owner: Option<&str>, deleting: bool) -> Arc<Pod> {
        let mut pod = json!({"metadata": {"name": name, "labels": {"app": app}}});
        if let Some(owner) = owner {
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": owner, "controller": true}]);
        }
        if deleting {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn owned_adopted_released() {
        let selector: LabelSelector = serde_json::from_value(json!({"matchLabels": {"app": "web"}})).unwrap();
        let pods = || {
            vec![
                pod("mine", "web", Some("me"), false),
                pod("mine-no-more", "db", Some("me"), false),
                pod("mine-going", "db", Some("me"), true),
                pod("other", "web", Some("you"), false),
                pod("orphan", "web", None, false),
                pod("orphan-going", "web", None, true),
                pod("stranger", "db", None, false),
            ]
        };
        let names = |pods: &[Arc<Pod>]| -> Vec<String> {
            pods.iter().filter_map(|p| p.metadata.name.clone()).collect()
        };
        let mut owner = ObjectMeta { uid: Some("me".into()), ..ObjectMeta::default() };
        let claimed = claim(&owner, &selector, pods(), |_| true);
        assert_eq!(names(&claimed.owned), ["mine", "mine-going"]);
        assert_eq!(names(&claimed.adopt), ["orphan"]);
        assert_eq!(names(&claimed.release), ["mine-no-more"]);
        owner.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        ));
        let claimed = claim(&owner, &selector, pods(), |_| true);
        assert_eq!(names(&claimed.owned), ["mine", "mine-no-more", "mine-going"]);
        assert!(claimed.adopt.is_empty() && claimed.release.is_empty());
    }
}
