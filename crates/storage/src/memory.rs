//! The backend that keeps nothing: for tests, and the memory of the others.

use crate::mvcc::Mvcc;
use crate::stage::Stage;
use crate::{BoxFuture, Condition, Entry, Op, Options, Range, Revision, Store, StoreError, Watch};
use std::future::ready;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The state of a store behind its lock. No one awaits or does I/O while holding it.
#[derive(Debug)]
pub(crate) struct Shared(RwLock<Mvcc>);

impl Shared {
    pub(crate) fn new(mvcc: Mvcc) -> Self {
        Self(RwLock::new(mvcc))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Mvcc> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Mvcc> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store in memory; it ends with the process.
#[derive(Debug)]
pub struct MemoryStore(Shared);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// An empty store that keeps as much history as `options` say.
    #[must_use]
    pub fn with_options(options: Options) -> Self {
        Self(Shared::new(Mvcc::new(0, Vec::new(), options)))
    }

    fn commit(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> Result<Revision, StoreError> {
        let mut mvcc = self.0.write();
        let mut stage = Stage::new(&mvcc);
        let revision = stage.txn(conditions, ops)?;
        let events = stage.into_events();
        mvcc.publish(&events);
        Ok(revision)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn txn(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async move { self.commit(conditions, ops) })
    }

    fn get(&self, key: &str) -> Option<Entry> {
        self.0.read().get(key)
    }

    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        self.0.read().range(prefix, start_after, limit, at)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.0.write().watch(prefix, after)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(ready(self.0.write().compact(revision)))
    }

    fn revision(&self) -> Revision {
        self.0.read().revision()
    }
}
