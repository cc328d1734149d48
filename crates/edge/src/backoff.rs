//! How long to wait before a failed watch is tried again.

use kube::runtime::utils::Backoff;
use std::time::Duration;

/// The first wait; a server that restarts is back soon.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from [`FIRST`] to [`LONGEST`]; a success starts it over.
#[derive(Debug)]
pub(crate) struct Doubling(Duration);

impl Doubling {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = LONGEST.min(wait * 2);
        Some(wait)
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        *self = Self::new();
    }
}
