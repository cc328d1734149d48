//! How fast watches and dials come back after a failure.

use std::time::Duration;

use futures::Stream;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::{Backoff, StreamBackoff};

/// Doubles from 50 ms to 5 s, then stays. A server that restarts is back within a second, and must not wait for us.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quick {
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(5);

impl Iterator for Quick {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        // Nodes must not come back in step.
        Some(pause.mul_f64(rand::random_range(0.75..1.25)))
    }
}

impl Backoff for Quick {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A watch that pauses after errors.
pub(crate) fn backed_off<S, T, E>(watch: S) -> StreamBackoff<S, Quick>
where
    S: Stream<Item = Result<T, E>>,
{
    watch.backoff(Quick::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_again() {
        let mut quick = Quick::default();
        let pauses: Vec<_> = quick.by_ref().take(12).collect();
        assert!(pauses[0] < Duration::from_millis(70) && pauses[11] > Duration::from_secs(3));
        quick.reset();
        assert!(quick.next().is_some_and(|p| p < Duration::from_millis(70)));
    }
}
