//! What a store keeps, and for how long.

use std::time::Duration;

/// Options of a store; the defaults suit a cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// At most so many changes are remembered for old ranges and resumed watches.
    pub history_events: usize,
    /// And none older than this: five minutes, as Kubernetes' API server compacts.
    pub history_age: Duration,
    /// So many changes may wait for a slow watch, on top of those it asked to replay, before it is ended.
    pub watch_backlog: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { history_events: 10_000, history_age: Duration::from_secs(300), watch_backlog: 1_024 }
    }
}
