//! A queue of keys to reconcile.
//!
//! Invariants: a key waits at most once however often it is added; a key is reconciled by one task at a time; a key
//! that is added while it is being reconciled is reconciled once more.

use crate::Error;
use crate::objects::lock;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Display;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a reconcile asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: changes will bring the key back.
    Wait,
    /// To look again after a while, because time itself changes something.
    After(Duration),
}

/// The queue of one controller.
pub(crate) struct Queue<T> {
    name: &'static str,
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    ready: VecDeque<T>,
    queued: HashSet<T>,
    running: HashSet<T>,
    /// Added while running.
    again: HashSet<T>,
    timers: BTreeSet<(Instant, T)>,
    due: HashMap<T, Instant>,
    failures: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash + Ord + Display + Send> Queue<T> {
    pub(crate) fn new(name: &'static str) -> Self {
        let state = State {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            running: HashSet::new(),
            again: HashSet::new(),
            timers: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
        };
        Self { name, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Reconcile this key soon.
    pub(crate) fn add(&self, key: T) {
        lock(&self.state).add(key);
        self.changed.notify_one();
    }

    /// Reconcile this key after a while, or earlier if something asks for it.
    pub(crate) fn add_after(&self, key: T, pause: Duration) {
        lock(&self.state).add_at(key, Instant::now() + pause);
        self.changed.notify_one();
    }

    /// Reconciles keys, `at_once` at a time, until `shutdown`.
    pub(crate) async fn run<F, R>(&self, at_once: usize, shutdown: &CancellationToken, reconcile: F)
    where
        F: Fn(T) -> R,
        R: Future<Output = Result<Next, Error>>,
    {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < at_once {
                let Some(key) = lock(&self.state).take(Instant::now()) else { break };
                let work = AssertUnwindSafe(reconcile(key.clone())).catch_unwind();
                running.push(work.map(|result| (key, result)));
            }
            let timer = lock(&self.state).timers.first().map(|(when, _)| *when);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notified() => {}
                () = sleep_until(timer), if timer.is_some() && running.len() < at_once => {}
                Some((key, result)) = running.next(), if !running.is_empty() => {
                    let result = result.unwrap_or_else(|_| Err(Error::Panicked(format!("{} {key}", self.name))));
                    self.done(&key, result);
                }
            }
        }
    }

    fn done(&self, key: &T, result: Result<Next, Error>) {
        let mut state = lock(&self.state);
        state.running.remove(key);
        match result {
            Ok(next) => {
                state.failures.remove(key);
                if let Next::After(pause) = next {
                    state.add_at(key.clone(), Instant::now() + pause);
                }
            }
            Err(error) => {
                let count = state.failures.entry(key.clone()).or_default();
                let pause = FIRST_PAUSE.saturating_mul(1 << (*count).min(20)).min(LONGEST_PAUSE);
                *count += 1;
                if error.is_conflict() {
                    tracing::debug!(controller = self.name, %key, %error, "lost a race");
                } else {
                    tracing::warn!(controller = self.name, %key, %error, ?pause, "reconcile failed");
                }
                state.add_at(key.clone(), Instant::now() + pause);
            }
        }
        if state.again.remove(key) {
            state.add(key.clone());
        }
    }
}

async fn sleep_until(when: Option<Instant>) {
    if let Some(when) = when {
        tokio::time::sleep_until(when).await;
    }
}

impl<T: Clone + Eq + Hash + Ord> State<T> {
    fn add(&mut self, key: T) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: T, when: Instant) {
        match self.due.get(&key) {
            Some(earlier) if *earlier <= when => return,
            Some(later) => {
                self.timers.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), when);
        self.timers.insert((when, key));
    }

    fn take(&mut self, now: Instant) -> Option<T> {
        while let Some((when, key)) = self.timers.first().cloned() {
            if when > now {
                break;
            }
            self.timers.pop_first();
            self.due.remove(&key);
            self.add(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn conflict() -> Error {
        let status =
            kube::core::Status { code: 409, reason: "Conflict".into(), ..kube::core::Status::default() };
        Error::Api { doing: "x".into(), source: Box::new(kube::Error::Api(status.boxed())) }
    }

    #[tokio::test]
    async fn a_key_runs_once_at_a_time_and_again_if_added_meanwhile() {
        let queue = Arc::new(Queue::new("test"));
        let (now, most, runs) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        for _ in 0..5 {
            queue.add("a".to_owned());
        }
        let shutdown = CancellationToken::new();
        let work = queue.run(8, &shutdown, |key: String| {
            let (queue, now, most, runs, shutdown) = (&queue, &now, &most, &runs, &shutdown);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                    queue.add(key.clone());
                    queue.add(key);
                } else {
                    shutdown.cancel();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(Next::Wait)
            }
        });
        work.await;
        assert_eq!((most.into_inner(), runs.into_inner()), (1, 2));
    }

    #[tokio::test]
    async fn errors_back_off_and_success_forgets() {
        let queue = Queue::new("test");
        queue.add(7);
        let (start, times, shutdown) = (Instant::now(), Mutex::new(Vec::new()), CancellationToken::new());
        let work = queue.run(1, &shutdown, |_| {
            let run = {
                let mut times = lock(&times);
                times.push(start.elapsed().as_millis());
                times.len()
            };
            if run == 6 {
                shutdown.cancel();
            }
            async move { if run == 4 { Ok(Next::After(Duration::from_millis(60))) } else { Err(conflict()) } }
        });
        work.await;
        // 5, 10, 20 ms after errors; 60 as asked; then 5 again, which must be less than the 40 of one more failure.
        let gaps: Vec<u128> = lock(&times).windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (gap, expected) in gaps.iter().zip([5, 10, 20, 60, 5]) {
            assert!(*gap >= expected, "{gaps:?}");
        }
        assert!(gaps[4] < 40, "{gaps:?}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_key_only() {
        let queue = Queue::new("test");
        queue.add(1);
        let (seen, shutdown) = (Mutex::new(Vec::new()), CancellationToken::new());
        let work = queue.run(1, &shutdown, |key| {
            let count = {
                let mut seen = lock(&seen);
                seen.push(key);
                seen.len()
            };
            if count == 2 {
                shutdown.cancel();
            }
            async move {
                assert!(count > 1, "the first time breaks");
                Ok(Next::Wait)
            }
        });
        work.await;
        assert_eq!(*lock(&seen), [1, 1]);
    }
}
