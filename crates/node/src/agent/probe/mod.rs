//! Probes: when they run and what their results mean. The state machine here is pure; `check` does the I/O.

pub(super) mod check;
mod command;
pub(crate) mod https;
pub(super) mod worker;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

/// The three sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ProbeKind {
    /// Restarts the container when it fails.
    Liveness,
    /// Takes the Pod out of Services while it fails.
    Readiness,
    /// Holds the other two back until it succeeds once.
    Startup,
}

impl ProbeKind {
    /// As events write it: `Readiness`.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
            Self::Startup => "Startup",
        }
    }

    /// The probe of this sort.
    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Startup => container.startup_probe.as_ref(),
        }
    }
}

/// How often and how patiently to probe, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Before the first one.
    pub(crate) delay: Duration,
    /// Between two.
    pub(crate) period: Duration,
    /// For one.
    pub(crate) timeout: Duration,
    /// Successes in a row that count.
    pub(crate) successes: u32,
    /// Failures in a row that count.
    pub(crate) failures: u32,
}

impl Timing {
    /// The timing of `probe`.
    pub(crate) fn of(probe: &Probe) -> Self {
        let number = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        let seconds =
            |value: Option<i32>, default: u32| Duration::from_secs(u64::from(number(value, default)));
        Self {
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
        }
    }
}

/// Counts results until they mean something.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    timing: Timing,
    /// What was reported last.
    opinion: bool,
    row: u32,
    last: Option<bool>,
}

impl Tally {
    /// Readiness begins as no, liveness as yes, startup as not yet; an agent that reattaches begins with what was.
    pub(crate) fn new(timing: Timing, opinion: bool) -> Self {
        Self { timing, opinion, row: 0, last: None }
    }

    /// Takes one result; the new opinion if it changed, or if a failure reaches its threshold (again).
    pub(crate) fn step(&mut self, success: bool) -> Option<bool> {
        self.row = if self.last == Some(success) { self.row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.timing.successes } else { self.timing.failures };
        if self.row < threshold {
            return None;
        }
        let changed = self.opinion != success || (!success && self.row == threshold);
        self.opinion = success;
        changed.then_some(success)
    }
}

/// Pauses before a container's first period is over: an application needs a moment until it listens, and waiting a
/// whole period for it would only make Pods slow. Failures meanwhile are not counted and not told.
pub(crate) fn early_pauses(period: Duration) -> impl Iterator<Item = Duration> {
    let mut pause = Duration::from_millis(10);
    let mut sum = Duration::ZERO;
    std::iter::from_fn(move || {
        sum += pause;
        let this = (sum < period).then_some(pause);
        pause *= 2;
        this
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn timing(successes: u32, failures: u32) -> Timing {
        let mut timing = Timing::of(&Probe::default());
        (timing.successes, timing.failures) = (successes, failures);
        timing
    }

    #[test]
    fn defaults() {
        let probe: Probe =
            serde_json::from_value(json!({"periodSeconds": 2, "initialDelaySeconds": 5})).unwrap();
        let got = Timing::of(&probe);
        assert_eq!((got.delay.as_secs(), got.period.as_secs(), got.timeout.as_secs()), (5, 2, 1));
        assert_eq!((got.successes, got.failures), (1, 3));
    }

    #[test]
    fn thresholds() {
        // Results as + and -, opinions that are told as + and -, silence as a dot.
        for (successes, failures, opinion, results, wanted) in [
            (1, 3, false, "+", "+"),
            (1, 3, false, "++", "+."),
            (1, 3, true, "---", "..-"),
            (1, 3, true, "----", "..-."),
            (1, 3, true, "--+---", ".....-"),
            (2, 1, false, "+-++", ".-.+"),
            (1, 1, true, "+-+-", ".-+-"),
            (1, 3, false, "---+", "..-+"),
        ] {
            let mut tally = Tally::new(timing(successes, failures), opinion);
            let told: String = results
                .chars()
                .map(|r| match tally.step(r == '+') {
                    Some(true) => '+',
                    Some(false) => '-',
                    None => '.',
                })
                .collect();
            assert_eq!(told, wanted, "{results} with {successes}/{failures} from {opinion}");
        }
    }

    #[test]
    fn early_pauses_stay_within_the_first_period() {
        let total: Duration = early_pauses(Duration::from_secs(1)).sum();
        assert!(total < Duration::from_secs(1) && total > Duration::from_millis(300), "{total:?}");
    }
}
