//! Answers of upstreams as long as they hold, and a while longer. Pure: it is told the time.

use super::question::Question;
use crate::wire::Response;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that an answer is kept, and one that says there is nothing.
const LONGEST_S: u32 = 3_600;
const LONGEST_NEGATIVE_S: u32 = 1_800;
/// How long after its end an answer may stand in for an upstream that is down (RFC 8767 allows days).
const STALE: Duration = Duration::from_secs(3_600);
/// The time to live of such an answer, in seconds (RFC 8767 §4).
const STALE_TTL_S: u32 = 30;
/// After a failure a stale answer is given without waiting, so long.
const RECHECK: Duration = Duration::from_secs(5);
/// Asked for so often, an answer is renewed in the last tenth of its life.
const HOT: u32 = 2;
/// Longer answers are not kept: together with the number of entries this bounds the memory.
const LONGEST_RECORDS: usize = 64;

/// What the cache has for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// An answer that holds for so many seconds; `renew` says that it should be asked for again before that ends.
    Fresh { response: Arc<Response>, ttl_s: u32, renew: bool },
    /// An answer that no longer holds. `failing` says that asking for it failed just now.
    Stale { response: Arc<Response>, ttl_s: u32, failing: bool },
}

/// Answers by question, so many at most.
#[derive(Debug)]
pub(super) struct Cache {
    entries: HashMap<Question, Entry>,
    /// Every question once; the front is looked at when there is no room.
    order: VecDeque<Question>,
    most: usize,
    negative: usize,
}

#[derive(Debug)]
struct Entry {
    response: Arc<Response>,
    stored: Instant,
    ttl: Duration,
    hits: u32,
    renewing: bool,
    failed: Option<Instant>,
    /// Asked for since it was last at the front.
    used: bool,
}

impl Cache {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most, negative: 0 }
    }

    /// How many answers there are that say something, and that say there is nothing.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.entries.len() - self.negative, self.negative)
    }

    pub(super) fn get(&mut self, question: &Question, now: Instant) -> Found {
        let Some(entry) = self.entries.get_mut(question) else { return Found::Nothing };
        let age = now.saturating_duration_since(entry.stored);
        let response = entry.response.clone();
        if age >= entry.ttl + STALE {
            return Found::Nothing;
        }
        entry.used = true;
        if age >= entry.ttl {
            let failing = entry.failed.is_some_and(|at| now.saturating_duration_since(at) < RECHECK);
            return Found::Stale { response, ttl_s: STALE_TTL_S, failing };
        }
        entry.hits = entry.hits.saturating_add(1);
        let left = entry.ttl - age;
        let renew = !entry.renewing && entry.hits > HOT && left <= entry.ttl / 10;
        entry.renewing |= renew;
        // Rounded up: an answer is never told to hold for 0 seconds while it holds.
        let ttl_s = u32::try_from((left + Duration::from_millis(999)).as_secs()).unwrap_or(u32::MAX);
        Found::Fresh { response, ttl_s, renew }
    }

    /// Keeps an answer, if it may be kept; returns whether another had to go, and whether that one said there is nothing.
    pub(super) fn put(&mut self, question: Question, response: &Arc<Response>, now: Instant) -> Option<bool> {
        let negative = response.is_negative();
        let longest = if negative { LONGEST_NEGATIVE_S } else { LONGEST_S };
        let ttl_s = response.ttl_s().filter(|ttl_s| *ttl_s > 0)?.min(longest);
        let records = response.answer.len() + response.authority.len() + response.additional.len();
        if records > LONGEST_RECORDS || self.most == 0 {
            return None;
        }
        let ttl = Duration::from_secs(ttl_s.into());
        let response = response.clone();
        let entry = Entry { response, stored: now, ttl, hits: 0, renewing: false, failed: None, used: true };
        if let Some(before) = self.entries.get_mut(&question) {
            self.negative -= usize::from(before.response.is_negative());
            self.negative += usize::from(negative);
            *before = entry;
            return None;
        }
        let evicted = if self.entries.len() >= self.most { self.evict() } else { None };
        self.negative += usize::from(negative);
        self.order.push_back(question.clone());
        // What was never asked for again goes first.
        self.entries.insert(question, Entry { used: false, ..entry });
        evicted
    }

    /// Asking for it failed.
    pub(super) fn failed(&mut self, question: &Question, now: Instant) {
        if let Some(entry) = self.entries.get_mut(question) {
            (entry.failed, entry.renewing) = (Some(now), false);
        }
    }

    /// Removes the oldest that was not asked for since it was last looked at.
    fn evict(&mut self) -> Option<bool> {
        while let Some(question) = self.order.pop_front() {
            match self.entries.get_mut(&question) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.order.push_back(question);
                }
                Some(_) => {
                    let negative = self.entries.remove(&question)?.response.is_negative();
                    self.negative -= usize::from(negative);
                    return Some(negative);
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CLASS_IN, Name, Record, rtype};

    fn question(name: &str) -> Question {
        Question { name: Name::parse(name).unwrap(), qtype: rtype::A, dnssec_ok: false }
    }

    fn record(rtype: u16, ttl_s: u32, data: &[u8]) -> Record {
        Record { owner: Name::parse("a.test").unwrap(), rtype, class: CLASS_IN, ttl_s, data: data.into() }
    }

    fn answer(ttl_s: u32) -> Arc<Response> {
        let answer = vec![record(rtype::A, ttl_s + 50, &[1; 4]), record(rtype::A, ttl_s, &[2; 4])];
        Arc::new(Response { answer, ..Response::default() })
    }

    fn nothing(soa_ttl_s: u32, minimum: u32) -> Arc<Response> {
        let data = [&[0; 18][..], &minimum.to_be_bytes()].concat();
        let authority = vec![record(rtype::SOA, soa_ttl_s, &data)];
        Arc::new(Response { rcode: Response::NX_DOMAIN, authority, ..Response::default() })
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn answers_hold_as_long_as_their_shortest_record_and_may_then_stand_in() {
        let (mut cache, start, a) = (Cache::new(10), Instant::now(), question("a.test"));
        let response = answer(100);
        assert_eq!(cache.put(a.clone(), &response, start), None);
        let fresh = |ttl_s| Found::Fresh { response: response.clone(), ttl_s, renew: false };
        assert_eq!(cache.get(&a, start), fresh(100));
        assert_eq!(cache.get(&a, after(start, 60)), fresh(40));
        let stale = |failing| Found::Stale { response: response.clone(), ttl_s: 30, failing };
        assert_eq!(cache.get(&a, after(start, 100)), stale(false));
        cache.failed(&a, after(start, 101));
        assert_eq!(cache.get(&a, after(start, 103)), stale(true), "no use in asking again at once");
        assert_eq!(cache.get(&a, after(start, 106)), stale(false));
        assert_eq!(cache.get(&a, after(start, 3_700)), Found::Nothing);
        assert_eq!(cache.get(&question("b.test"), start), Found::Nothing);
    }

    #[test]
    fn times_to_live_are_bounded() {
        let start = Instant::now();
        for (response, held_s) in [
            (answer(1_000_000), Some(3_600)),
            (answer(0), None),
            (nothing(60, 20), Some(20)),
            (nothing(10, 20), Some(10)),
            (nothing(100_000, 90_000), Some(1_800)),
            (Arc::new(Response { rcode: Response::NX_DOMAIN, ..Response::default() }), None),
        ] {
            let mut cache = Cache::new(10);
            cache.put(question("a.test"), &response, start);
            let held = match cache.get(&question("a.test"), start) {
                Found::Fresh { ttl_s, .. } => Some(ttl_s),
                _ => None,
            };
            assert_eq!(held, held_s, "{response:?}");
        }
    }

    #[test]
    fn hot_answers_are_renewed_once_before_they_end() {
        let (mut cache, start, a) = (Cache::new(10), Instant::now(), question("a.test"));
        cache.put(a.clone(), &answer(100), start);
        let mut renews =
            |seconds| matches!(cache.get(&a, after(start, seconds)), Found::Fresh { renew: true, .. });
        assert_eq!([1, 2, 50, 95, 96].map(&mut renews), [false, false, false, true, false]);
    }

    #[test]
    fn the_number_of_answers_is_bounded_and_what_is_asked_for_stays() {
        let (mut cache, start) = (Cache::new(3), Instant::now());
        cache.put(question("hot.test"), &answer(100), start);
        for n in 0..50 {
            assert!(matches!(cache.get(&question("hot.test"), start), Found::Fresh { .. }), "{n}");
            let evicted = cache.put(question(&format!("x{n}.test")), &nothing(60, 60), start);
            assert_eq!(evicted, (n >= 2).then_some(true), "{n}");
            assert!(cache.entries.len() <= 3 && cache.order.len() == cache.entries.len());
        }
        assert_eq!(cache.len(), (1, 2));
    }
}
