//! The backend that keeps everything in one file on this machine.
//!
//! Reads come from memory; a write is acknowledged when it is on disk. The history starts anew with every start: ranges
//! and watches from before it are `Compacted`; revisions go on.

mod disk;
mod provisional;
mod refusal;
mod witness;
mod writer;

use crate::memory::Shared;
use crate::mvcc::Mvcc;
use crate::{BoxFuture, Condition, Entry, Op, Options, Range, Revision, Store, StoreError, Watch};
use disk::Disk;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use writer::{Request, State, Writer};

/// So many transactions may wait for the disk; more wait for their turn to wait.
const QUEUE: usize = 1_024;

/// A store in a directory of its own.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the store in the directory `path`, which is made if it does not exist.
    ///
    /// # Errors
    /// A store that is corrupt, foreign, of a newer schema or in use is left as it is; the error is one sentence that
    /// says what to do.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Options::default())
    }

    /// As [`Self::open`], with options.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(path: &Path, options: Options) -> Result<Self, StoreError> {
        let (disk, content) = Disk::open(path)?;
        let shared = Arc::new(Shared::new(Mvcc::new(content.revision, content.entries, options)));
        let (requests, receiver) = mpsc::channel(QUEUE);
        let writer = Writer { directory: path.to_owned(), shared: shared.clone(), state: State::Open(disk) };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(receiver))
            .map_err(|error| StoreError::Backend {
                doing: "starting the writer of the store".into(),
                source: error.into(),
            })?;
        Ok(Self { shared, requests: Some(requests), writer: Some(writer) })
    }

    async fn send(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> Result<Revision, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let ended = || StoreError::Backend {
            doing: "writing to the store".into(),
            source: "its writer has ended; restart the process".into(),
        };
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(Request { conditions, ops, reply }).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }
}

impl Drop for EmbeddedStore {
    /// Waits for the last commit, so that the file is closed and unlocked afterwards.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the store had panicked");
        }
    }
}

impl Store for EmbeddedStore {
    fn txn(&self, conditions: Vec<Condition>, ops: Vec<Op>) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(self.send(conditions, ops))
    }

    fn get(&self, key: &str) -> Option<Entry> {
        self.shared.read().get(key)
    }

    fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        self.shared.read().range(prefix, start_after, limit, at)
    }

    fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.shared.write().watch(prefix, after)
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(ready(self.shared.write().compact(revision)))
    }

    fn revision(&self) -> Revision {
        self.shared.read().revision()
    }
}
