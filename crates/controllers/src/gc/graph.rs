//! Who owns whom: a small record of every object, by uid.

use crate::objects::Key;
use kube::core::ObjectMeta;
use std::collections::{BTreeSet, HashMap, HashSet};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// Uids of objects that are known to be gone.
const REMEMBERED: usize = 16_384;

/// A reference to an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnerRef {
    pub(super) uid: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// It may not go before us, if it is deleted in the foreground.
    pub(super) blocking: bool,
}

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Index into the list of kinds.
    pub(super) kind: usize,
    pub(super) key: Key,
    pub(super) owners: Vec<OwnerRef>,
    pub(super) deleting: bool,
    /// Its dependents go first.
    pub(super) foreground: bool,
    /// Its dependents stay.
    pub(super) orphan: bool,
}

impl Object {
    pub(super) fn of(kind: usize, meta: &ObjectMeta) -> Self {
        let owners = meta.owner_references.iter().flatten().map(|owner| OwnerRef {
            uid: owner.uid.clone(),
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            blocking: owner.block_owner_deletion == Some(true),
        });
        let finalizers = meta.finalizers.as_deref().unwrap_or_default();
        let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
        Self {
            kind,
            key: Key::of(meta),
            owners: owners.collect(),
            deleting: meta.deletion_timestamp.is_some(),
            foreground: has(FOREGROUND),
            orphan: has(ORPHAN),
        }
    }

    /// True while it waits for its dependents.
    pub(super) fn waits(&self) -> bool {
        self.deleting && self.foreground
    }
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Graph {
    objects: HashMap<String, Object>,
    dependents: HashMap<String, BTreeSet<String>>,
    gone: HashSet<String>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Object> {
        self.objects.get(uid)
    }

    /// True if the object was here and went.
    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }

    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = (&String, &Object)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| Some((uid, self.objects.get(uid)?)))
    }

    /// Takes note of an object; returns the uids to look at.
    pub(super) fn put(&mut self, uid: &str, object: Object) -> Vec<String> {
        let mut look = Vec::new();
        let former = self.objects.get(uid);
        let former_owners = former.map(|former| former.owners.clone()).unwrap_or_default();
        let news = former.is_none()
            || former_owners != object.owners
            || former.is_some_and(|f| f.deleting != object.deleting);
        if (news && !object.owners.is_empty()) || (object.deleting && (object.foreground || object.orphan)) {
            look.push(uid.to_owned());
        }
        if former_owners != object.owners {
            for owner in &former_owners {
                self.forget_dependent(&owner.uid, uid);
                // An owner may have waited for just this one.
                look.push(owner.uid.clone());
            }
            for owner in &object.owners {
                self.dependents.entry(owner.uid.clone()).or_default().insert(uid.to_owned());
            }
        }
        self.objects.insert(uid.to_owned(), object);
        look
    }

    /// Takes note that an object is gone; returns the uids to look at: its dependents, and owners that waited for it.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<String> {
        if self.gone.len() >= REMEMBERED {
            self.gone.clear();
        }
        self.gone.insert(uid.to_owned());
        let Some(object) = self.objects.remove(uid) else { return Vec::new() };
        let mut look: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        for owner in &object.owners {
            self.forget_dependent(&owner.uid, uid);
            if self.objects.get(&owner.uid).is_some_and(Object::waits) {
                look.push(owner.uid.clone());
            }
        }
        look
    }

    /// All uids of a kind.
    pub(super) fn of_kind(&self, kind: usize) -> Vec<String> {
        self.objects.iter().filter(|(_, object)| object.kind == kind).map(|(uid, _)| uid.clone()).collect()
    }

    fn forget_dependent(&mut self, owner: &str, uid: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(uid);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}
