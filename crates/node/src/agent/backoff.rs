//! Kubernetes' exponential back-off: 10 s, doubling to 5 min, forgotten after 10 min of peace
//! (staging/src/k8s.io/client-go/util/flowcontrol). Pure.

use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LAST: SignedDuration = SignedDuration::from_secs(300);

/// The delays between attempts at one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backoff {
    /// The present delay and when it was set; none before the first failure.
    entry: Option<(SignedDuration, Timestamp)>,
}

impl Backoff {
    /// Until when a thing that failed at `failed` must wait; none if it may go on at once.
    pub(crate) fn until(&self, failed: Timestamp) -> Option<Timestamp> {
        let (delay, set) = self.entry?;
        if failed.duration_since(set) > LAST * 2 {
            return None;
        }
        failed.checked_add(delay).ok()
    }

    /// The present delay in whole seconds.
    pub(crate) fn delay_s(&self) -> i64 {
        self.entry.map_or(0, |(delay, _)| delay.as_secs())
    }

    /// Notes a new attempt after a failure at `failed`.
    pub(crate) fn next(&mut self, failed: Timestamp) {
        let delay = match self.entry {
            Some((delay, set)) if failed.duration_since(set) <= LAST * 2 => (delay * 2).min(LAST),
            _ => FIRST,
        };
        self.entry = Some((delay, failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_then_delays_double() {
        let mut backoff = Backoff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let until = backoff.until(now).unwrap_or(now);
            delays.push(until.duration_since(now).as_secs());
            backoff.next(now);
            now = until + SignedDuration::from_secs(1);
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_quiet_minutes_forget() {
        let mut backoff = Backoff::default();
        backoff.next(Timestamp::UNIX_EPOCH);
        assert!(backoff.until(Timestamp::from_second(600).unwrap()).is_some());
        assert_eq!(backoff.until(Timestamp::from_second(601).unwrap()), None);
    }
}
