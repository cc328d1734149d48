//! The watches that follow a store.

use crate::{Event, Watch};
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};

/// All live watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<Watcher>);

#[derive(Debug)]
struct Watcher {
    prefix: Box<str>,
    sender: Sender<Arc<Event>>,
}

impl Watchers {
    /// A new watch of `prefix`: `replay` comes first, then whatever [`Self::send`] is given.
    pub(crate) fn add(&mut self, prefix: &str, replay: Vec<Arc<Event>>, backlog: usize) -> Watch {
        let (sender, receiver) = channel(replay.len() + backlog.max(1));
        for event in replay {
            sender.try_send(event).expect("the channel was made large enough for all of the replay");
        }
        self.0.push(Watcher { prefix: prefix.into(), sender });
        receiver
    }

    /// Hands the events to every watch that asked for their keys; ends those that cannot take them.
    pub(crate) fn send(&mut self, events: &[Arc<Event>]) {
        self.0.retain(|watcher| watcher.send(events));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Watcher {
    /// False if this watch is over.
    fn send(&self, events: &[Arc<Event>]) -> bool {
        for event in events.iter().filter(|event| event.key.starts_with(&*self.prefix)) {
            match self.sender.try_send(event.clone()) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(_)) => {
                    tracing::warn!(prefix = %self.prefix, revision = event.revision, "a slow watch is ended");
                    return false;
                }
            }
        }
        !self.sender.is_closed()
    }
}
