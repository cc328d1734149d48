//! What was asked of upstreams and of the cache, under the names that CoreDNS gave these counters.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Response codes by number, as metrics name them; any other is the last.
const RCODES: [&str; 7] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "OTHER"];
const TYPES: [&str; 2] = ["success", "denial"];

/// Counters of the forwarder.
#[derive(Debug)]
pub(super) struct Counters {
    servers: Vec<Server>,
    all_failing: AtomicU64,
    rejected: AtomicU64,
    requests: AtomicU64,
    /// Of answers that say something, and that say there is nothing.
    hits: [AtomicU64; 2],
    evictions: [AtomicU64; 2],
    misses: AtomicU64,
    stale: AtomicU64,
    renewed: AtomicU64,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    requests: AtomicU64,
    responses: [AtomicU64; RCODES.len()],
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn new(upstreams: &[SocketAddr]) -> Self {
        let server = |address: &SocketAddr| Server {
            address: *address,
            requests: AtomicU64::new(0),
            responses: Default::default(),
        };
        Self {
            servers: upstreams.iter().map(server).collect(),
            all_failing: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            hits: Default::default(),
            evictions: Default::default(),
            misses: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
        }
    }

    pub(super) fn asked(&self, server: usize) {
        add(&self.servers[server].requests);
    }

    pub(super) fn answered(&self, server: usize, rcode: u8) {
        add(&self.servers[server].responses[usize::from(rcode).min(RCODES.len() - 1)]);
    }

    pub(super) fn all_failing(&self) {
        add(&self.all_failing);
    }

    pub(super) fn rejected(&self) {
        add(&self.rejected);
    }

    pub(super) fn hit(&self, negative: bool) {
        add(&self.requests);
        add(&self.hits[usize::from(negative)]);
    }

    pub(super) fn missed(&self) {
        add(&self.requests);
        add(&self.misses);
    }

    pub(super) fn evicted(&self, negative: bool) {
        add(&self.evictions[usize::from(negative)]);
    }

    pub(super) fn served_stale(&self) {
        add(&self.stale);
    }

    pub(super) fn renewed(&self) {
        add(&self.renewed);
    }

    /// All counters as Prometheus reads them; `entries` is what the cache holds of either type.
    pub(super) fn render(&self, entries: (usize, usize)) -> String {
        let mut page = Page(String::new());
        page.about("coredns_forward_requests_total", "counter", "Queries sent to each upstream.");
        for one in &self.servers {
            page.value("coredns_forward_requests_total", &format!("to=\"{}\"", one.address), &one.requests);
        }
        page.about("coredns_forward_responses_total", "counter", "Answers of each upstream.");
        for one in &self.servers {
            for (rcode, counter) in RCODES.into_iter().zip(&one.responses) {
                let labels = format!("rcode=\"{rcode}\",to=\"{}\"", one.address);
                page.value("coredns_forward_responses_total", &labels, counter);
            }
        }
        page.single(
            "coredns_forward_healthcheck_broken_total",
            "Queries while all upstreams failed.",
            &self.all_failing,
        );
        let rejected = "Queries refused because too many waited for an upstream.";
        page.single("coredns_forward_max_concurrent_rejects_total", rejected, &self.rejected);
        page.about("coredns_cache_entries", "gauge", "Answers of upstreams that are kept.");
        for (kind, number) in TYPES.into_iter().zip([entries.0, entries.1]) {
            let number = AtomicU64::new(u64::try_from(number).unwrap_or(u64::MAX));
            page.value("coredns_cache_entries", &format!("type=\"{kind}\""), &number);
        }
        page.single("coredns_cache_requests_total", "Queries that the cache was asked for.", &self.requests);
        page.about("coredns_cache_hits_total", "counter", "Queries that it answered.");
        for (kind, counter) in TYPES.into_iter().zip(&self.hits) {
            page.value("coredns_cache_hits_total", &format!("type=\"{kind}\""), counter);
        }
        page.single("coredns_cache_misses_total", "Queries that it did not answer.", &self.misses);
        page.about("coredns_cache_evictions_total", "counter", "Answers that had to make room.");
        for (kind, counter) in TYPES.into_iter().zip(&self.evictions) {
            page.value("coredns_cache_evictions_total", &format!("type=\"{kind}\""), counter);
        }
        page.single("coredns_cache_served_stale_total", "Answers given after their time.", &self.stale);
        page.single("coredns_cache_prefetch_total", "Answers renewed before their time.", &self.renewed);
        page.0
    }
}

struct Page(String);

impl Page {
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, counter: &AtomicU64) {
        let value = counter.load(Ordering::Relaxed);
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, help: &str, counter: &AtomicU64) {
        self.about(name, "counter", help);
        self.value(name, "", counter);
    }
}
