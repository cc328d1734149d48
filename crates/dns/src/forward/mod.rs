//! Names outside the cluster: asked of upstreams, answered from a cache where it can be.
//!
//! Upstreams are asked on a thread of its own, which may live in another network namespace than the server: a
//! resolver on the host's 127.0.0.1 is reached from the host's.

mod cache;
mod counters;
mod exchange;
mod question;
mod upstreams;

pub(crate) use question::Question;
pub use upstreams::Patience;

use crate::wire::Response;
use crate::{Config, Error};
use cache::{Cache, Found};
use counters::Counters;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use upstreams::Upstreams;

/// With a stale answer at hand a client waits so long for a fresh one (RFC 8767 §5).
const STALE_AFTER: Duration = Duration::from_millis(1_800);

/// How names outside the cluster are resolved.
#[derive(Debug, Clone)]
pub struct Forwarding {
    /// How long to wait for whom.
    pub patience: Patience,
    /// So many clients wait at most; further ones are refused.
    pub most_waiting: usize,
    /// So many answers are kept at most.
    pub most_kept: usize,
    /// The network namespace from which upstreams are asked; `None` is that of the server.
    pub namespace: Option<Arc<File>>,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self { patience: Patience::default(), most_waiting: 1_000, most_kept: 10_000, namespace: None }
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// An answer that may be kept for `ttl_s` seconds at most.
    Answer { response: Arc<Response>, ttl_s: u32 },
    /// No upstream had one.
    Failed,
    /// Too many clients are waiting.
    Refused,
}

/// An answer on its way: `None` until there is one, then whether it could be had.
type OnItsWay = watch::Receiver<Option<Option<Arc<Response>>>>;

/// Resolves names outside the cluster. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstreams: Upstreams,
    cache: Mutex<Cache>,
    on_their_way: Mutex<HashMap<Question, OnItsWay>>,
    waiting: Arc<Semaphore>,
    most_asked: usize,
    counters: Arc<Counters>,
    runtime: Handle,
}

impl Forwarder {
    /// Starts the thread on which upstreams are asked, until `shutdown`. `None` if there is no upstream.
    pub(crate) fn start(config: &Config, shutdown: &CancellationToken) -> Result<Option<Self>, Error> {
        // Asking oneself would never end.
        let others = config.upstream.iter().copied().filter(|address| !config.listen.contains(address));
        let addresses: Vec<_> = others.collect();
        if addresses.is_empty() {
            return Ok(None);
        }
        let options = &config.forwarding;
        let runtime = start_thread(options.namespace.clone(), shutdown.clone()).map_err(Error::Forwarding)?;
        let counters = Arc::new(Counters::new(&addresses));
        Ok(Some(Self(Arc::new(Inner {
            upstreams: Upstreams::new(&addresses, options.patience, counters.clone()),
            cache: Mutex::new(Cache::new(options.most_kept)),
            on_their_way: Mutex::default(),
            waiting: Arc::new(Semaphore::new(options.most_waiting)),
            most_asked: options.most_waiting.saturating_mul(2),
            counters,
            runtime,
        }))))
    }

    /// Where clients that have to wait do so.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// An answer that is at hand.
    pub(crate) fn at_hand(&self, question: &Question) -> Option<Resolved> {
        match self.0.cache().get(question, Instant::now()) {
            Found::Fresh { response, ttl_s, renew } => {
                self.0.counters.hit(response.is_negative());
                if renew {
                    self.0.counters.renewed();
                    let _ = Inner::fetch(&self.0, question);
                }
                Some(Resolved::Answer { response, ttl_s })
            }
            Found::Stale { response, ttl_s, failing: true } => {
                self.0.counters.served_stale();
                Some(Resolved::Answer { response, ttl_s })
            }
            Found::Stale { .. } | Found::Nothing => None,
        }
    }

    /// The answer to a question that is not at hand.
    pub(crate) async fn resolve(&self, question: &Question) -> Resolved {
        let inner = &self.0;
        inner.counters.missed();
        let (Ok(_permit), Some(mut coming)) = (inner.waiting.try_acquire(), Inner::fetch(inner, question))
        else {
            inner.counters.rejected();
            return Resolved::Refused;
        };
        let stale = match inner.cache().get(question, Instant::now()) {
            Found::Stale { response, ttl_s, .. } => Some(Resolved::Answer { response, ttl_s }),
            _ => None,
        };
        let wait = if stale.is_some() { STALE_AFTER } else { Duration::MAX };
        let came = tokio::time::timeout(wait, coming.wait_for(Option::is_some)).await;
        let response = came.ok().and_then(|answer| answer.ok().and_then(|answer| answer.clone().flatten()));
        match (response, stale) {
            // The records' own times to live bound it.
            (Some(response), _) => Resolved::Answer { response, ttl_s: u32::MAX },
            (None, Some(stale)) => {
                inner.counters.served_stale();
                stale
            }
            (None, None) => Resolved::Failed,
        }
    }

    /// The counters as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        let entries = self.0.cache().len();
        self.0.counters.render(entries)
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks upstreams, once for all who want to know at the same time; `None` if too much is being asked.
    fn fetch(this: &Arc<Self>, question: &Question) -> Option<OnItsWay> {
        let mut all = this.on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(coming) = all.get(question) {
            return Some(coming.clone());
        }
        if all.len() >= this.most_asked {
            return None;
        }
        let (sender, receiver) = watch::channel(None);
        all.insert(question.clone(), receiver.clone());
        let (inner, question) = (this.clone(), question.clone());
        this.runtime.spawn(async move {
            let response = inner.upstreams.resolve(&question).await.map(Arc::new);
            inner.keep(&question, response.as_ref());
            inner.on_their_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&question);
            sender.send_replace(Some(response));
        });
        Some(receiver)
    }

    fn keep(&self, question: &Question, response: Option<&Arc<Response>>) {
        let (mut cache, now) = (self.cache(), Instant::now());
        match response {
            Some(response) => {
                if let Some(negative) = cache.put(question.clone(), response, now) {
                    self.counters.evicted(negative);
                }
            }
            None => cache.failed(question, now),
        }
    }
}

/// A thread in that namespace that runs what is spawned on the handle until `shutdown`.
fn start_thread(namespace: Option<Arc<File>>, shutdown: CancellationToken) -> std::io::Result<Handle> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("dns-forward".into()).spawn(move || {
        let entered = namespace.map_or(Ok(()), |namespace| {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
        });
        let runtime = entered
            .map_err(std::io::Error::from)
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
        match runtime {
            Ok(runtime) => {
                let _ = sender.send(Ok(runtime.handle().clone()));
                runtime.block_on(shutdown.cancelled());
                runtime.shutdown_background();
            }
            Err(error) => drop(sender.send(Err(error))),
        }
    })?;
    receiver.recv().map_err(std::io::Error::other)?
}
