//! Keys with their versions, and the log of changes since the last compaction: the memory of every backend.
//!
//! Invariants: `log` holds every change after `compacted`, in order; a key has one version at or before `compacted`
//! (none if it was deleted by then) and all after it; watches see a change in the same step in which reads do.

use crate::watchers::Watchers;
use crate::{Entry, Event, Key, Options, Range, Revision, StoreError, Watch};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
struct Version {
    create_revision: Revision,
    mod_revision: Revision,
    /// `None` is a deletion.
    value: Option<Bytes>,
}

/// The state of a store.
#[derive(Debug)]
pub(crate) struct Mvcc {
    keys: BTreeMap<Key, Vec<Version>>,
    log: VecDeque<(Instant, Arc<Event>)>,
    revision: Revision,
    compacted: Revision,
    watchers: Watchers,
    options: Options,
}

impl Mvcc {
    /// A state as of `revision`, without a past.
    pub(crate) fn new(revision: Revision, entries: Vec<Entry>, options: Options) -> Self {
        let keys = entries.into_iter().map(|entry| (entry.key.clone(), vec![Version::from(entry)])).collect();
        Self {
            keys,
            log: VecDeque::new(),
            revision,
            compacted: revision,
            watchers: Watchers::default(),
            options,
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        let (key, versions) = self.keys.get_key_value(key)?;
        versions.last()?.entry(key)
    }

    pub(crate) fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let revision = at.unwrap_or(self.revision);
        self.check_known(revision)?;
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let mut found = self
            .keys
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| Some((key, live_at(versions, revision)?)));
        let limit = if limit == 0 { usize::MAX } else { limit };
        let entries = found.by_ref().take(limit).filter_map(|(key, version)| version.entry(key)).collect();
        Ok(Range { entries, revision, remaining: found.count() as u64 })
    }

    pub(crate) fn watch(&mut self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.check_known(after)?;
        let first = self.log.partition_point(|(_, event)| event.revision <= after);
        let replay = self.log.range(first..).map(|(_, event)| event);
        let replay = replay.filter(|event| event.key.starts_with(prefix)).cloned().collect();
        Ok(self.watchers.add(prefix, replay, self.options.watch_backlog))
    }

    /// Makes changes visible to reads and watches. They are those of whole transactions, in order, the first of which
    /// follows the newest revision.
    pub(crate) fn publish(&mut self, events: &[Arc<Event>]) {
        let now = Instant::now();
        for event in events {
            debug_assert!(event.revision == self.revision || event.revision == self.revision + 1);
            self.revision = event.revision;
            self.keys.entry(event.key.clone()).or_default().push(Version::of(event));
            self.log.push_back((now, event.clone()));
        }
        self.watchers.send(events);
        self.forget_old(now);
    }

    /// Forgets what is older than `revision`.
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::Future { requested: revision, newest: self.revision });
        }
        if revision <= self.compacted {
            return Ok(());
        }
        self.compacted = revision;
        while let Some((_, event)) = self.log.pop_front_if(|(_, event)| event.revision <= revision) {
            self.forget_versions(&event.key);
        }
        Ok(())
    }

    /// Compaction by itself, so that memory stays bounded.
    fn forget_old(&mut self, now: Instant) {
        let excess = self.log.len().saturating_sub(self.options.history_events);
        let old = self.log.partition_point(|(at, _)| now.duration_since(*at) > self.options.history_age);
        let Some((_, last)) = excess.max(old).checked_sub(1).and_then(|index| self.log.get(index)) else {
            return;
        };
        let revision = last.revision;
        self.compact(revision).expect("a revision of the log is not in the future");
    }

    /// Drops the versions of a key that no range can ask for any more.
    fn forget_versions(&mut self, key: &Key) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let known = versions.partition_point(|version| version.mod_revision <= self.compacted);
        versions.drain(..known.saturating_sub(1));
        if versions.first().is_some_and(|first| first.value.is_none() && first.mod_revision <= self.compacted)
        {
            versions.remove(0);
        }
        if versions.is_empty() {
            self.keys.remove(key);
        }
    }

    fn check_known(&self, revision: Revision) -> Result<(), StoreError> {
        if revision < self.compacted {
            return Err(StoreError::Compacted { requested: revision, oldest: self.compacted });
        }
        if revision > self.revision {
            return Err(StoreError::Future { requested: revision, newest: self.revision });
        }
        Ok(())
    }
}

fn live_at(versions: &[Version], revision: Revision) -> Option<&Version> {
    versions
        .iter()
        .rev()
        .find(|version| version.mod_revision <= revision)
        .filter(|version| version.value.is_some())
}

impl Version {
    fn of(event: &Event) -> Self {
        match event.current.clone() {
            Some(entry) => entry.into(),
            None => Self { create_revision: 0, mod_revision: event.revision, value: None },
        }
    }

    fn entry(&self, key: &Key) -> Option<Entry> {
        Some(Entry {
            key: key.clone(),
            value: self.value.clone()?,
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
        })
    }
}

impl From<Entry> for Version {
    fn from(entry: Entry) -> Self {
        Self {
            create_revision: entry.create_revision,
            mod_revision: entry.mod_revision,
            value: Some(entry.value),
        }
    }
}

#[cfg(test)]
#[path = "mvcc_tests.rs"]
mod tests;
