//! All objects of a kind, kept by a watch and by our own writes, whichever is newer.

use super::{Key, Object, Sink, lock, read, write};
use kube::core::ObjectMeta;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::watch;

/// A change of one object: at least one side is there.
#[derive(Debug)]
pub(crate) struct Change<K> {
    /// The object's name.
    pub(crate) key: Key,
    /// What it was.
    pub(crate) old: Option<Arc<K>>,
    /// What it is now.
    pub(crate) new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The newer side.
    pub(crate) fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Both sides that are there.
    pub(crate) fn sides(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

struct Inner<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// The revision up to which the watch has told us everything.
    revision: u64,
    /// Uids of objects that we saw go before the watch did: what the watch still says of their lives is old.
    gone: HashSet<String>,
}

/// The cache of a kind.
pub(crate) struct Cache<K> {
    inner: RwLock<Inner<K>>,
    /// Held by whoever changes the cache until the handlers have run, so that handlers see changes in order.
    turn: Mutex<()>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

impl<K: Object> Cache<K> {
    pub(crate) fn new() -> Self {
        Self {
            inner: RwLock::new(Inner { objects: BTreeMap::new(), revision: 0, gone: HashSet::new() }),
            turn: Mutex::new(()),
            handlers: RwLock::new(Vec::new()),
            synced: watch::Sender::new(false),
        }
    }

    /// Calls `handler` after every change, in order. It may read caches but not change one.
    pub(crate) fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        write(&self.handlers).push(Box::new(handler));
    }

    /// Returns when the watch has listed once.
    pub(crate) async fn synced(&self) {
        // The sender is ours: it cannot be gone while we wait.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        read(&self.inner).objects.get(key).cloned()
    }

    /// All objects of a namespace, by name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let inner = read(&self.inner);
        let from = inner.objects.range(Key::new(namespace, "")..);
        from.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// All objects, by namespace and name.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        read(&self.inner).objects.values().cloned().collect()
    }

    /// The answer to a create or a patch.
    pub(crate) fn written(&self, object: K) -> Arc<K> {
        let _turn = lock(&self.turn);
        let object = Arc::new(slim(object));
        let change = {
            let mut inner = write(&self.inner);
            let news = revision_of(object.meta()) > inner.revision && is_newer(&inner, &object);
            news.then(|| put(&mut inner, object.clone()))
        };
        self.tell(change);
        object
    }

    /// The answer to a delete: the object is going or gone.
    pub(crate) fn deleting(&self, key: &Key, answer: Option<K>) {
        let _turn = lock(&self.turn);
        let change = {
            let mut inner = write(&self.inner);
            let cached = inner.objects.get(key).cloned();
            match (cached, answer) {
                (Some(cached), Some(object)) if cached.meta().uid != object.meta().uid => None,
                // It is going: Pods wait for their processes, finalizers for their owners.
                (Some(cached), Some(object)) if object.meta().deletion_timestamp.is_some() => {
                    let news = cached.meta().deletion_timestamp.is_none();
                    news.then(|| put(&mut inner, Arc::new(slim(object))))
                }
                (Some(cached), _) => {
                    inner.gone.extend(cached.meta().uid.clone());
                    inner.objects.remove(key);
                    Some(Change { key: key.clone(), old: Some(cached), new: None })
                }
                (None, _) => None,
            }
        };
        self.tell(change);
    }

    fn tell(&self, change: Option<Change<K>>) {
        if let Some(change) = change {
            for handler in read(&self.handlers).iter() {
                handler(&change);
            }
        }
    }
}

impl<K: Object> Sink<K> for Cache<K> {
    fn replace(&self, objects: Vec<K>, revision: u64) {
        let _turn = lock(&self.turn);
        let changes = {
            let mut inner = write(&self.inner);
            inner.revision = revision;
            inner.gone.clear();
            let listed: BTreeMap<Key, Arc<K>> =
                objects.into_iter().map(|object| (Key::of(object.meta()), Arc::new(slim(object)))).collect();
            // What we wrote after the list was taken stays.
            let vanished: Vec<Key> = inner
                .objects
                .iter()
                .filter(|(key, object)| !listed.contains_key(*key) && revision_of(object.meta()) <= revision)
                .map(|(key, _)| key.clone())
                .collect();
            let mut changes = Vec::new();
            for key in vanished {
                let old = inner.objects.remove(&key);
                changes.push(Change { key, old, new: None });
            }
            for object in listed.into_values() {
                if is_newer(&inner, &object) {
                    changes.push(put(&mut inner, object));
                }
            }
            changes
        };
        for change in changes {
            self.tell(Some(change));
        }
        self.synced.send_replace(true);
    }

    fn apply(&self, object: K) {
        let _turn = lock(&self.turn);
        let change = {
            let mut inner = write(&self.inner);
            let object = Arc::new(slim(object));
            inner.revision = inner.revision.max(revision_of(object.meta()));
            let dead = object.meta().uid.as_ref().is_some_and(|uid| inner.gone.contains(uid));
            (!dead && is_newer(&inner, &object)).then(|| put(&mut inner, object))
        };
        self.tell(change);
    }

    fn delete(&self, object: K) {
        let _turn = lock(&self.turn);
        let change = {
            let mut inner = write(&self.inner);
            inner.revision = inner.revision.max(revision_of(object.meta()));
            if let Some(uid) = &object.meta().uid {
                inner.gone.remove(uid);
            }
            let key = Key::of(object.meta());
            // Another object of that name may already be there, from our own write.
            let same = inner.objects.get(&key).is_some_and(|cached| cached.meta().uid == object.meta().uid);
            let old = if same { inner.objects.remove(&key) } else { None };
            old.map(|old| Change { key, old: Some(old), new: None })
        };
        self.tell(change);
    }

    fn progress(&self, revision: u64) {
        let _turn = lock(&self.turn);
        let mut inner = write(&self.inner);
        inner.revision = inner.revision.max(revision);
    }
}

fn put<K: Object>(inner: &mut Inner<K>, object: Arc<K>) -> Change<K> {
    let key = Key::of(object.meta());
    let old = inner.objects.insert(key.clone(), object.clone());
    Change { key, old, new: Some(object) }
}

fn is_newer<K: Object>(inner: &Inner<K>, object: &K) -> bool {
    let cached = inner.objects.get(&Key::of(object.meta()));
    cached.is_none_or(|cached| revision_of(object.meta()) > revision_of(cached.meta()))
}

pub(super) fn revision_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// Drops what no controller reads and what would be half of the memory.
fn slim<K: Object>(mut object: K) -> K {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}
