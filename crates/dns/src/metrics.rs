//! Counters, under the names that CoreDNS gave them.

use crate::answer::{Answered, Transport};
use crate::wire::{Rcode, rtype};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The types that are counted by name; any other is `other`.
const TYPES: [(u16, &str); 9] = [
    (rtype::A, "A"),
    (rtype::AAAA, "AAAA"),
    (rtype::CNAME, "CNAME"),
    (rtype::NS, "NS"),
    (rtype::PTR, "PTR"),
    (rtype::SOA, "SOA"),
    (rtype::SRV, "SRV"),
    (rtype::TXT, "TXT"),
    (0, "other"),
];

/// What happened so far.
#[derive(Debug)]
pub(crate) struct Metrics {
    shards: Box<[Shard]>,
}

/// What one thread counts; cache lines of its own, so that no thread waits for another.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    /// By transport, family and type.
    requests: [[[AtomicU64; TYPES.len()]; 2]; 2],
    responses: [AtomicU64; Rcode::ALL.len()],
}

impl Shard {
    /// Counts one query and its answer.
    pub(crate) fn count(&self, transport: Transport, v6: bool, answered: Answered) {
        let of_type = TYPES.iter().position(|(rtype, _)| *rtype == answered.qtype).unwrap_or(TYPES.len() - 1);
        self.requests[usize::from(transport == Transport::Tcp)][usize::from(v6)][of_type]
            .fetch_add(1, Ordering::Relaxed);
        self.responses[answered.rcode.index()].fetch_add(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// For so many threads, at least one.
    pub(crate) fn new(threads: usize) -> Self {
        Self { shards: (0..threads.max(1)).map(|_| Shard::default()).collect() }
    }

    /// Where the thread of this number counts.
    pub(crate) fn shard(&self, thread: usize) -> &Shard {
        &self.shards[thread % self.shards.len()]
    }

    fn sum<'a>(&'a self, counter: impl Fn(&'a Shard) -> &'a AtomicU64) -> u64 {
        self.shards.iter().map(|shard| counter(shard).load(Ordering::Relaxed)).sum()
    }

    /// All counters as Prometheus reads them; those at 0 are left out.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP coredns_dns_requests_total Counter of DNS requests made per zone, protocol and family.\n\
             # TYPE coredns_dns_requests_total counter\n",
        );
        for (p, proto) in ["udp", "tcp"].into_iter().enumerate() {
            for (f, family) in ["1", "2"].into_iter().enumerate() {
                for (t, (_, name)) in TYPES.iter().enumerate() {
                    let labels = format!(
                        "family=\"{family}\",proto=\"{proto}\",server=\"dns://:53\",type=\"{name}\",view=\"\",zone=\".\""
                    );
                    let count = self.sum(|shard| &shard.requests[p][f][t]);
                    sample(&mut text, "coredns_dns_requests_total", &labels, count);
                }
            }
        }
        text.push_str(
            "# HELP coredns_dns_responses_total Counter of response status codes.\n\
             # TYPE coredns_dns_responses_total counter\n",
        );
        for rcode in Rcode::ALL {
            let labels = format!(
                "plugin=\"kubernetes\",rcode=\"{}\",server=\"dns://:53\",view=\"\",zone=\".\"",
                rcode.name()
            );
            let count = self.sum(|shard| &shard.responses[rcode.index()]);
            sample(&mut text, "coredns_dns_responses_total", &labels, count);
        }
        text
    }
}

fn sample(text: &mut String, name: &str, labels: &str, value: u64) {
    if value > 0 {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}
