//! The store behind the API server, in keys, bytes and revisions. It knows nothing of Kubernetes.
//!
//! One trait, [`Store`], and backends that all pass one suite of tests. A revision is a number that grows by one with
//! every committed transaction; all writes of one transaction share it.
//!
//! Invariants: an acknowledged transaction survives `kill -9`; a watch sees every committed change once, in order;
//! a range at a revision never sees a later one.

mod embedded;
mod memory;
mod mvcc;
mod options;
mod stage;
mod watchers;

pub use embedded::EmbeddedStore;
pub use memory::MemoryStore;
pub use options::Options;

use bytes::Bytes;
use std::sync::Arc;

/// A key: a path such as `/services/default/web`, compared byte by byte.
pub type Key = Arc<str>;

/// The number of a committed transaction; 0 is the empty store.
pub type Revision = u64;

/// One key and its value as of some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Bytes,
    /// The revision that created the key (after its last deletion).
    pub create_revision: Revision,
    /// The revision that wrote this value.
    pub mod_revision: Revision,
}

/// What must hold for a transaction to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// No such key.
    Absent(Key),
    /// The key exists, at whatever revision.
    Present(Key),
    /// The key was last written by this revision.
    ModRevision(Key, Revision),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Create or replace.
    Put(Key, Bytes),
    /// Remove; nothing if absent.
    Delete(Key),
}

/// The entries of a range, all as of `revision`.
#[derive(Debug, Clone)]
pub struct Range {
    /// In key order.
    pub entries: Vec<Entry>,
    /// The revision they were read at.
    pub revision: Revision,
    /// How many entries follow the last one returned (0 unless a limit cut the range).
    pub remaining: u64,
}

/// One change, as a watch reports it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The revision of the transaction.
    pub revision: Revision,
    /// The key that changed.
    pub key: Key,
    /// What it was before, if it existed.
    pub previous: Option<Entry>,
    /// What it is now; `None` is a deletion.
    pub current: Option<Entry>,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A condition of a transaction did not hold; nothing was written. `current` is what stands at that key.
    #[error("a condition on {} does not hold", condition_key(.condition))]
    Conflict {
        /// The first condition that failed.
        condition: Condition,
        /// The entry at its key now.
        current: Option<Entry>,
    },
    /// The revision was compacted away.
    #[error("revision {requested} was compacted; the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision still known.
        oldest: Revision,
    },
    /// The revision has not happened yet.
    #[error("revision {requested} is in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest revision.
        newest: Revision,
    },
    /// The disk is full: the store takes no writes until there is room.
    #[error("the disk that holds {path} is full; the store is read-only until there is room")]
    Full {
        /// The file of the store.
        path: String,
    },
    /// The backend failed.
    #[error("{doing}")]
    Backend {
        /// What was being done.
        doing: String,
        /// The backend's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn condition_key(condition: &Condition) -> &str {
    match condition {
        Condition::Absent(k) | Condition::Present(k) | Condition::ModRevision(k, _) => k,
    }
}

/// A boxed future, so that the trait can be used as `dyn Store`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A stream of changes. The sender ends it (`None`) when the receiver is too slow to keep up; the reader then starts
/// again from the last revision it saw.
pub type Watch = tokio::sync::mpsc::Receiver<Arc<Event>>;

/// A store of keys and bytes with revisions. Reads come from memory; only `txn` waits for a disk.
pub trait Store: Send + Sync + 'static {
    /// Commits all `ops` as one revision if all `conditions` hold; acknowledged only when durable. A transaction that
    /// changes nothing takes no revision and returns the newest one. Of several ops on one key the last counts.
    fn txn(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> BoxFuture<'_, Result<Revision, StoreError>>;
    /// The entry at `key` now, from memory.
    fn get(&self, key: &str) -> Option<Entry>;
    /// The entries whose keys start with `prefix`, after `start_after` if given, at most `limit` if not 0, as of `at`
    /// or now.
    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError>;
    /// All changes to keys under `prefix` with a revision greater than `after`, those that already happened first.
    /// `after` is a revision seen before: one that has not happened yet is `Future`, one from before the oldest known
    /// is `Compacted`.
    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError>;
    /// Forgets what is older than `revision`: ranges and watches from before it are then `Compacted`. Backends compact
    /// on their own too ([`Options`]).
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;
    /// The newest committed revision.
    fn revision(&self) -> Revision;
}
