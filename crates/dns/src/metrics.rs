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
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By transport, family and type.
    requests: [[[AtomicU64; TYPES.len()]; 2]; 2],
    responses: [AtomicU64; Rcode::ALL.len()],
}

impl Metrics {
    /// Counts one query and its answer.
    pub(crate) fn count(&self, transport: Transport, v6: bool, answered: Answered) {
        let of_type = TYPES.iter().position(|(rtype, _)| *rtype == answered.qtype).unwrap_or(TYPES.len() - 1);
        self.requests[usize::from(transport == Transport::Tcp)][usize::from(v6)][of_type]
            .fetch_add(1, Ordering::Relaxed);
        self.responses[answered.rcode.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// All counters as Prometheus reads them; those at 0 are left out.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP coredns_dns_requests_total Counter of DNS requests made per zone, protocol and family.\n\
             # TYPE coredns_dns_requests_total counter\n",
        );
        for (proto, families) in ["udp", "tcp"].into_iter().zip(&self.requests) {
            for (family, types) in ["1", "2"].into_iter().zip(families) {
                for ((_, name), counter) in TYPES.iter().zip(types) {
                    let labels = format!(
                        "family=\"{family}\",proto=\"{proto}\",server=\"dns://:53\",type=\"{name}\",view=\"\",zone=\".\""
                    );
                    sample(&mut text, "coredns_dns_requests_total", &labels, counter);
                }
            }
        }
        text.push_str(
            "# HELP coredns_dns_responses_total Counter of response status codes.\n\
             # TYPE coredns_dns_responses_total counter\n",
        );
        for (rcode, counter) in Rcode::ALL.iter().zip(&self.responses) {
            let labels = format!(
                "plugin=\"kubernetes\",rcode=\"{}\",server=\"dns://:53\",view=\"\",zone=\".\"",
                rcode.name()
            );
            sample(&mut text, "coredns_dns_responses_total", &labels, counter);
        }
        text
    }
}

fn sample(text: &mut String, name: &str, labels: &str, counter: &AtomicU64) {
    let value = counter.load(Ordering::Relaxed);
    if value > 0 {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    }
}
