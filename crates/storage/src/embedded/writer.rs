//! The thread that writes: all transactions that wait become one commit, so that they share one sync of the disk.
//!
//! Invariants: transactions are decided in the order in which they came; nothing is published or acknowledged that is not
//! durable, not even a conflict with a write that is not.

use super::disk::{Content, Disk};
use crate::memory::Shared;
use crate::stage::Stage;
use crate::{Condition, Event, Op, Revision, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// As many transactions as one commit takes.
const BATCH: usize = 512;
/// After a failed write, how long until the next one tries the disk again.
const RETRY: Duration = Duration::from_millis(500);

/// A transaction that waits.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) conditions: Vec<Condition>,
    pub(super) ops: Vec<Op>,
    pub(super) reply: oneshot::Sender<Result<Revision, StoreError>>,
}

/// The writer's state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
}

/// Whether there is a database to write to.
#[derive(Debug)]
pub(super) enum State {
    Open(Disk),
    /// A write failed. The database has to be opened anew before the next one; whether `unsettled` is in it shows then.
    Failed {
        why: Failure,
        tried: Instant,
        unsettled: Vec<Arc<Event>>,
    },
}

/// A store error that many can be told.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Full { path: String },
    Other { doing: String, cause: String },
}

impl Writer {
    /// Works until all senders are gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = requests.try_recv()
            {
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let disk = match self.disk() {
            Ok(disk) => disk,
            Err(why) => return refuse(batch.into_iter().map(|request| request.reply), &why),
        };
        let (replies, decided, events) = self.decide(batch);
        match disk.commit(&events) {
            Ok(()) => {
                self.state = State::Open(disk);
                self.shared.write().publish(&events);
                for (reply, outcome) in replies.into_iter().zip(decided) {
                    // Who no longer waits does not mind.
                    let _ = reply.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store is read-only");
                let why = Failure::from(error);
                refuse(replies.into_iter(), &why);
                self.state = State::Failed { why, tried: Instant::now(), unsettled: events };
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "three lists that belong together for two lines")]
    fn decide(
        &self,
        batch: Vec<Request>,
    ) -> (
        Vec<oneshot::Sender<Result<Revision, StoreError>>>,
        Vec<Result<Revision, StoreError>>,
        Vec<Arc<Event>>,
    ) {
        let mvcc = self.shared.read();
        let mut stage = Stage::new(&mvcc);
        let (replies, decided) = batch
            .into_iter()
            .map(|request| (request.reply, stage.txn(request.conditions, request.ops)))
            .unzip();
        (replies, decided, stage.into_events())
    }

    /// Takes the database out, opening it anew if a write failed a while ago.
    fn disk(&mut self) -> Result<Disk, Failure> {
        let gone = State::Failed {
            why: Failure::Other { doing: "writing to the store".into(), cause: "it is being opened".into() },
            tried: Instant::now(),
            unsettled: Vec::new(),
        };
        match std::mem::replace(&mut self.state, gone) {
            State::Open(disk) => Ok(disk),
            State::Failed { why, tried, unsettled } => {
                let opened =
                    if tried.elapsed() < RETRY { Err((why, tried)) } else { self.reopen(&unsettled) };
                opened.map_err(|(why, tried)| {
                    self.state = State::Failed { why: why.clone(), tried, unsettled };
                    why
                })
            }
        }
    }

    fn reopen(&self, unsettled: &[Arc<Event>]) -> Result<Disk, (Failure, Instant)> {
        let (disk, Content { revision, .. }) =
            Disk::open(&self.directory).map_err(|error| (error.into(), Instant::now()))?;
        let known = self.shared.read().revision();
        if unsettled.last().is_some_and(|event| event.revision == revision) {
            tracing::info!(revision, "the write that failed is on disk after all");
            self.shared.write().publish(unsettled);
        } else if revision != known {
            let cause = format!("it is at revision {revision} on disk and at {known} in memory");
            return Err((Failure::Other { doing: "opening the store anew".into(), cause }, Instant::now()));
        }
        tracing::info!(revision, "the store takes writes again");
        Ok(disk)
    }
}

fn refuse(replies: impl Iterator<Item = oneshot::Sender<Result<Revision, StoreError>>>, why: &Failure) {
    for reply in replies {
        let _ = reply.send(Err(why.clone().into()));
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { path } => Self::Full { path },
            StoreError::Backend { doing, source } => Self::Other { doing, cause: source.to_string() },
            other => Self::Other { doing: "writing to the store".into(), cause: other.to_string() },
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full { path } => Self::Full { path },
            Failure::Other { doing, cause } => Self::Backend { doing, source: cause.into() },
        }
    }
}
