//! All upstreams: who is asked first, and who next.

use super::counters::Counters;
use super::exchange::{Failure, ask};
use super::question::Question;
use crate::wire::Response;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// An upstream that failed is asked after the others for so long.
const SHUNNED: Duration = Duration::from_secs(10);
/// With fewer upstreams than this the same are asked again: a packet may have been lost.
const LEAST_TRIES: usize = 3;

/// How long to wait for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// After so long without an answer the next upstream is asked as well.
    pub next: Duration,
    /// After so long the question has failed. Less than the five seconds after which C libraries ask again.
    pub all: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { next: Duration::from_millis(700), all: Duration::from_millis(4_000) }
    }
}

/// The servers to ask, in the order of preference.
#[derive(Debug)]
pub(super) struct Upstreams {
    servers: Vec<Arc<Server>>,
    patience: Patience,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Server {
    index: usize,
    address: SocketAddr,
    failed: Mutex<Option<Instant>>,
}

impl Upstreams {
    pub(super) fn new(addresses: &[SocketAddr], patience: Patience, counters: Arc<Counters>) -> Self {
        let server = |(index, address): (usize, &SocketAddr)| {
            Arc::new(Server { index, address: *address, failed: Mutex::default() })
        };
        Self { servers: addresses.iter().enumerate().map(server).collect(), patience, counters }
    }

    /// The first useful answer of any of them. The next is asked when one has failed, or is slow.
    pub(super) async fn resolve(&self, question: &Question) -> Option<Response> {
        tokio::time::timeout(self.patience.all, self.first_answer(question)).await.ok().flatten()
    }

    async fn first_answer(&self, question: &Question) -> Option<Response> {
        let order = self.order(Instant::now());
        let tries = order.len().max(LEAST_TRIES);
        let mut asked = JoinSet::new();
        for server in order.iter().cycle().take(tries) {
            let (asking, question, counters) = (server.clone(), question.clone(), self.counters.clone());
            asked.spawn(async move { asking.ask(&question, &counters).await });
            match tokio::time::timeout(self.patience.next, asked.join_next()).await {
                Ok(Some(Ok(Some(response)))) => return Some(response),
                // One has failed: on to the next, besides those that may still answer.
                Ok(_) => {}
                Err(_) => server.set_failed(Some(Instant::now())),
            }
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok(Some(response)) = answer {
                return Some(response);
            }
        }
        None
    }

    /// Those that have not failed lately first.
    fn order(&self, now: Instant) -> Vec<Arc<Server>> {
        let (bad, mut good): (Vec<_>, Vec<_>) =
            self.servers.iter().cloned().partition(|server| server.failed_lately(now));
        if good.is_empty() {
            self.counters.all_failing();
        }
        good.extend(bad);
        good
    }
}

impl Server {
    async fn ask(&self, question: &Question, counters: &Counters) -> Option<Response> {
        counters.asked(self.index);
        match ask(self.address, question).await {
            Ok(response) => {
                counters.answered(self.index, response.rcode);
                self.set_failed(None);
                Some(response)
            }
            Err(failure) => {
                if let Failure::Rcode(rcode) = failure {
                    counters.answered(self.index, rcode);
                }
                tracing::debug!(upstream = %self.address, "{failure}");
                self.set_failed(Some(Instant::now()));
                None
            }
        }
    }

    fn failed_lately(&self, now: Instant) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| now.duration_since(at) < SHUNNED)
    }

    /// Says so once when it begins to fail.
    fn set_failed(&self, at: Option<Instant>) {
        let before = std::mem::replace(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner), at);
        if before.is_none() && at.is_some() {
            tracing::warn!(upstream = %self.address, "an upstream name server fails or is slow: others are asked first");
        }
    }
}
