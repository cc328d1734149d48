//! Transactions that are decided but not yet published: conditions are checked against what the transactions before
//! them in the same batch will leave.

use crate::mvcc::Mvcc;
use crate::{Condition, Entry, Event, Key, Op, Revision, StoreError};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// The state as a batch of transactions will leave it.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    base: &'a Mvcc,
    changed: HashMap<Key, Option<Entry>>,
    revision: Revision,
    events: Vec<Arc<Event>>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(base: &'a Mvcc) -> Self {
        Self { base, changed: HashMap::new(), revision: base.revision(), events: Vec::new() }
    }

    /// Decides one transaction: the revision it gets, or the condition that does not hold.
    pub(crate) fn txn(&mut self, conditions: Vec<Condition>, ops: Vec<Op>) -> Result<Revision, StoreError> {
        for condition in conditions {
            self.check(condition)?;
        }
        let revision = self.revision + 1;
        let before = self.events.len();
        for (key, value) in last_write_of_each_key(ops) {
            self.write(revision, key, value);
        }
        if self.events.len() > before {
            self.revision = revision;
        }
        Ok(self.revision)
    }

    /// The changes of all transactions, in order.
    pub(crate) fn into_events(self) -> Vec<Arc<Event>> {
        self.events
    }

    fn check(&self, condition: Condition) -> Result<(), StoreError> {
        let (Condition::Absent(key) | Condition::Present(key) | Condition::ModRevision(key, _)) = &condition;
        let current = self.current(key);
        let holds = match (&condition, &current) {
            (Condition::Absent(_), entry) => entry.is_none(),
            (Condition::Present(_), entry) => entry.is_some(),
            (Condition::ModRevision(_, revision), Some(entry)) => entry.mod_revision == *revision,
            (Condition::ModRevision(..), None) => false,
        };
        if holds { Ok(()) } else { Err(StoreError::Conflict { condition, current }) }
    }

    fn current(&self, key: &Key) -> Option<Entry> {
        self.changed.get(key).cloned().unwrap_or_else(|| self.base.get(key))
    }

    fn write(&mut self, revision: Revision, key: Key, value: Option<Bytes>) {
        let previous = self.current(&key);
        let current = value.map(|value| Entry {
            key: key.clone(),
            value,
            create_revision: previous.as_ref().map_or(revision, |entry| entry.create_revision),
            mod_revision: revision,
        });
        if previous.is_none() && current.is_none() {
            return;
        }
        self.changed.insert(key.clone(), current.clone());
        self.events.push(Arc::new(Event { revision, key, previous, current }));
    }
}

/// In the order in which the keys are first named.
fn last_write_of_each_key(ops: Vec<Op>) -> Vec<(Key, Option<Bytes>)> {
    let mut writes: Vec<(Key, Option<Bytes>)> = Vec::with_capacity(ops.len());
    let mut index = HashMap::with_capacity(ops.len());
    for op in ops {
        let (key, value) = match op {
            Op::Put(key, value) => (key, Some(value)),
            Op::Delete(key) => (key, None),
        };
        let at = *index.entry(key.clone()).or_insert(writes.len());
        match writes.get_mut(at) {
            Some(write) => write.1 = value,
            None => writes.push((key, value)),
        }
    }
    writes
}
