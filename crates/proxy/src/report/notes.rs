//! What to say, and when: pure, it is told the time.

use crate::plan::Finding;
use sealane_model::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What lasts is said again this often: the API server forgets Events after an hour.
const AGAIN: Duration = Duration::from_secs(900);
/// What ended less than this ago and begins again is the same Event with a higher count.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// What could not be written is tried again after this.
const RETRY: Duration = Duration::from_secs(30);
/// So many at once, and then so many a second: thousands of broken Services must not be thousands of writes.
const BURST: f64 = 50.0;
const PER_SECOND: f64 = 1.0;

/// The reason of the Event that says that a finding is no more.
const RESOLVED: &str = "Resolved";

/// One thing to say about a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) service: ServiceName,
    /// Warning, rather than Normal.
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// How often it has been said, this time included.
    pub(super) count: u32,
    /// The finding it is about.
    finding: Finding,
}

impl Note {
    fn of(finding: &Finding, holds: bool, count: u32) -> Self {
        let message = &finding.message;
        Self {
            service: finding.service.clone(),
            warning: holds,
            reason: if holds { finding.reason } else { RESOLVED },
            message: if holds { message.clone() } else { format!("No longer so: {message}") },
            count,
            finding: finding.clone(),
        }
    }

    /// The same for the same words about the same Service (FNV-1a).
    pub(super) fn hash(&self) -> u64 {
        let parts = [&*self.service.namespace, &*self.service.name, self.reason, &self.message];
        parts.join("\0").bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct Notes {
    said: BTreeMap<Finding, Said>,
    budget: Option<(f64, Instant)>,
}

#[derive(Debug)]
struct Said {
    /// The last note said that it holds, not that it no longer does.
    holds: bool,
    at: Instant,
    /// How often it was said that it holds, and that it no longer does.
    counts: [u32; 2],
    /// Not to be tried before.
    not_before: Option<Instant>,
}

impl Notes {
    /// What is to be said now that these are the findings; what there is no budget for is due the next time.
    pub(super) fn due(&mut self, findings: &[Finding], now: Instant) -> Vec<Note> {
        let holding: BTreeSet<&Finding> = findings.iter().collect();
        let known: BTreeSet<Finding> = self.said.keys().cloned().collect();
        let mut notes = Vec::new();
        for finding in holding.iter().map(|finding| (*finding).clone()).chain(known).collect::<BTreeSet<_>>()
        {
            let holds = holding.contains(&finding);
            if self.is_due(&finding, holds, now) && self.spend(now) {
                notes.push(self.say(finding, holds, now));
            }
        }
        self.said.retain(|_, said| said.holds || now.saturating_duration_since(said.at) < REMEMBERED);
        notes
    }

    /// A note could not be written: it counts as not said.
    pub(super) fn failed(&mut self, note: &Note, now: Instant) {
        if let Some(said) = self.said.get_mut(&note.finding) {
            said.counts[usize::from(!note.warning)] -= 1;
            said.holds = !note.warning;
            said.not_before = Some(now + RETRY);
        }
    }

    fn is_due(&self, finding: &Finding, holds: bool, now: Instant) -> bool {
        let Some(said) = self.said.get(finding) else { return holds };
        let waits = said.not_before.is_some_and(|until| now < until);
        // What was never said need not be taken back.
        let changed = said.holds != holds && (holds || said.counts[0] > 0);
        !waits && (changed || (holds && now.saturating_duration_since(said.at) >= AGAIN))
    }

    fn say(&mut self, finding: Finding, holds: bool, now: Instant) -> Note {
        let new = Said { holds, at: now, counts: [0, 0], not_before: None };
        let said = self.said.entry(finding.clone()).or_insert(new);
        (said.holds, said.at, said.not_before) = (holds, now, None);
        let count = &mut said.counts[usize::from(!holds)];
        *count += 1;
        Note::of(&finding, holds, *count)
    }

    /// Takes one from the budget, if there is one.
    fn spend(&mut self, now: Instant) -> bool {
        let (left, at) = self.budget.unwrap_or((BURST, now));
        let refilled = now.saturating_duration_since(at).as_secs_f64() * PER_SECOND;
        let left = (left + refilled).min(BURST);
        let can = left >= 1.0;
        self.budget = Some((if can { left - 1.0 } else { left }, now));
        can
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, message: &str) -> Finding {
        let service = ServiceName { namespace: "prod".into(), name: name.into() };
        Finding { service, reason: "AddressTaken", message: message.into() }
    }

    fn words(notes: &[Note]) -> Vec<(&str, &str, u32)> {
        notes.iter().map(|note| (note.reason, note.message.as_str(), note.count)).collect()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_finding_is_said_once_again_now_and_then_and_taken_back() {
        let (mut notes, start, findings) = (Notes::default(), Instant::now(), [finding("web", "taken")]);
        assert_eq!(words(&notes.due(&findings, start)), [("AddressTaken", "taken", 1)]);
        assert_eq!(notes.due(&findings, after(start, 899)), []);
        assert_eq!(words(&notes.due(&findings, after(start, 900))), [("AddressTaken", "taken", 2)]);
        assert_eq!(words(&notes.due(&[], after(start, 910))), [("Resolved", "No longer so: taken", 1)]);
        assert_eq!(notes.due(&[], after(start, 5_000)), []);
        assert!(notes.said.is_empty(), "forgotten");
        assert_eq!(words(&notes.due(&findings, after(start, 5_001))), [("AddressTaken", "taken", 1)]);
    }

    #[test]
    fn what_comes_and_goes_is_counted() {
        let (mut notes, start, findings) = (Notes::default(), Instant::now(), [finding("web", "taken")]);
        let mut last = Vec::new();
        for n in 0..4 {
            notes.due(&findings, after(start, n * 20));
            last = notes.due(&[], after(start, n * 20 + 10));
        }
        assert_eq!(words(&last), [("Resolved", "No longer so: taken", 4)]);
    }

    #[test]
    fn what_could_not_be_written_is_said_later() {
        let (mut notes, start, findings) = (Notes::default(), Instant::now(), [finding("web", "taken")]);
        let first = notes.due(&findings, start);
        notes.failed(&first[0], start);
        assert_eq!(notes.due(&findings, after(start, 29)), []);
        assert_eq!(words(&notes.due(&findings, after(start, 30))), [("AddressTaken", "taken", 1)]);
        let mut unwritten = Notes::default();
        let first = unwritten.due(&findings, start);
        unwritten.failed(&first[0], start);
        assert_eq!(unwritten.due(&[], after(start, 60)), [], "nobody heard of it");
    }

    #[test]
    fn many_are_said_little_by_little() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let findings: Vec<_> = (0..200).map(|n| finding(&format!("s{n:03}"), "taken")).collect();
        assert_eq!(notes.due(&findings, start).len(), 50);
        assert_eq!(notes.due(&findings, after(start, 10)).len(), 10);
        let rest: usize = (1..=140).map(|n| notes.due(&findings, after(start, 10 + n)).len()).sum();
        assert_eq!(rest, 140);
        assert_eq!(notes.due(&findings, after(start, 160)), []);
    }
}
