//! From a question to what the zone says.

use super::apex::Apex;
use super::label::{protocol, undashed};
use super::service::{Content, ServiceRecords, Srv};
use super::{Reply, TTL_S, Zone};
use crate::Pods;
use crate::wire::{Builder, CLASS_IN, Name, Owner, Query, rtype};
use sealane_model::{Endpoint, ServiceName};
use std::net::IpAddr;

/// An ExternalName may lead to an ExternalName, so many times.
const CHAIN: usize = 10;
/// One more label than any name of ours has before its zone, so that a longer one is none of ours whatever follows.
const MOST_LABELS: usize = 33;
/// The version of the specification that this follows.
const DNS_VERSION: &str = "1.1.0";
const DNS_VERSION_TTL_S: u32 = 28_800;

impl Zone {
    /// Answers a question.
    #[must_use]
    pub fn lookup(&self, query: &Query<'_>) -> Reply<'_> {
        if query.qclass != CLASS_IN || matches!(query.qtype, rtype::AXFR | rtype::IXFR) {
            return Reply::Refused;
        }
        let mut labels = [&[][..]; MOST_LABELS];
        for (index, label) in labels.iter_mut().enumerate().take(query.label_count()) {
            *label = query.label(index);
        }
        let apex = |apex: &Apex| {
            let before = query.label_count().checked_sub(apex.name.labels().count())?;
            (query.suffix(before) == apex.name.wire()).then_some(before)
        };
        if let Some(before) = apex(&self.cluster) {
            return self.cluster(&labels[..before.min(MOST_LABELS)], query.qtype);
        }
        for zone in [&self.in_addr, &self.ip6] {
            match apex(zone) {
                Some(0) => return self.apex(zone, query.qtype),
                Some(before) => {
                    return self.reverse(zone, &labels[..before.min(MOST_LABELS)], query.qtype);
                }
                None => {}
            }
        }
        if self.options.forwards { Reply::Elsewhere } else { Reply::Refused }
    }

    /// What does not exist, or may not have been heard of yet.
    pub(super) fn denied<'z>(&self, apex: &'z Apex) -> Reply<'z> {
        if self.ready { Reply::NxDomain(apex) } else { Reply::ServFail(apex) }
    }

    /// Whether names that are not the cluster's are asked of others.
    pub(crate) fn forwards(&self) -> bool {
        self.options.forwards
    }

    /// An address that is not the cluster's: others may know its name.
    pub(super) fn foreign<'z>(&self, apex: &'z Apex) -> Reply<'z> {
        if self.ready && self.options.forwards { Reply::Elsewhere } else { self.denied(apex) }
    }

    pub(super) fn service_named(&self, name: &ServiceName) -> Option<&ServiceRecords> {
        let (name, namespace) = (name.name.to_ascii_lowercase(), name.namespace.to_ascii_lowercase());
        self.service(name.as_bytes(), namespace.as_bytes())
    }

    fn service(&self, name: &[u8], namespace: &[u8]) -> Option<&ServiceRecords> {
        // The key is short; on the stack it costs nothing.
        let mut key = [0; 128];
        let length = name.len() + namespace.len() + 2;
        let (first, rest) = key.get_mut(..length)?.split_at_mut(name.len() + 1);
        for (part, label) in [(first, name), (rest, namespace)] {
            part[0] = u8::try_from(label.len()).ok()?;
            part[1..].copy_from_slice(label);
        }
        self.services.get(&key[..length]).map(|records| &**records)
    }

    /// The answer to a name in the cluster domain; `labels` are those before it, in lower case.
    fn cluster(&self, labels: &[&[u8]], qtype: u16) -> Reply<'_> {
        let apex = &self.cluster;
        match labels {
            [] => self.apex(apex, qtype),
            [b"svc" | b"pod"] | [b"dns"] => Reply::NoData(apex),
            [rest @ .., b"svc"] => self.svc(rest, qtype),
            [rest @ .., b"pod"] => self.pod(rest, qtype),
            [b"ns", b"dns"] => self.of_addresses(&self.server().1, qtype),
            [b"dns-version"] if qtype == rtype::TXT => {
                let mut set = Builder::new(DNS_VERSION_TTL_S);
                set.text(Owner::Question, DNS_VERSION);
                Reply::built(set.build(), None)
            }
            [b"dns-version"] => Reply::NoData(apex),
            _ => self.denied(apex),
        }
    }

    fn apex<'z>(&'z self, apex: &'z Apex, qtype: u16) -> Reply<'z> {
        match qtype {
            rtype::SOA => Reply::known(&apex.soa, None, apex),
            rtype::NS => {
                let (name, addresses) = self.server();
                let (mut answer, mut glue) = (Builder::new(TTL_S), Builder::new(TTL_S));
                answer.name(Owner::Question, rtype::NS, &name);
                addresses.iter().for_each(|ip| glue.address(Owner::Name(&name), *ip));
                Reply::built(answer.build(), Some(glue.build()))
            }
            _ => Reply::NoData(apex),
        }
    }

    /// The name and the addresses of this server: those of its Service once it is known.
    fn server(&self) -> (Name, Vec<IpAddr>) {
        let options = &self.options;
        let service = self
            .service_named(&options.dns_service)
            .filter(|it| matches!(it.content, Content::Addresses { .. }));
        match service {
            Some(records) => (records.name.clone(), records.service_addresses()),
            None => (
                options.domain.below(&[b"ns", b"dns"]).unwrap_or_else(|| options.domain.clone()),
                options.local.clone(),
            ),
        }
    }

    /// Names below `svc`.
    fn svc(&self, labels: &[&[u8]], qtype: u16) -> Reply<'_> {
        let apex = &self.cluster;
        match labels {
            [namespace] if self.namespaces.contains_key(*namespace) => Reply::NoData(apex),
            [name, namespace] => self
                .service(name, namespace)
                .map_or_else(|| self.denied(apex), |it| self.of_service(it, qtype)),
            [label, name, namespace] => self.endpoint(label, name, namespace, qtype),
            [port, protocol, name, namespace] => self.port(port, protocol, name, namespace, qtype),
            _ => self.denied(apex),
        }
    }

    fn of_service<'z>(&'z self, service: &'z ServiceRecords, qtype: u16) -> Reply<'z> {
        let apex = &self.cluster;
        match (&service.content, qtype) {
            (Content::Addresses { a, .. }, rtype::A) => Reply::known(a, None, apex),
            (Content::Addresses { aaaa, .. }, rtype::AAAA) => Reply::known(aaaa, None, apex),
            (Content::Addresses { srv, .. }, rtype::SRV) => Reply::known(&srv.records, Some(&srv.glue), apex),
            (Content::Alias { cname, .. }, rtype::CNAME) => Reply::known(cname, None, apex),
            (Content::Alias { target, .. }, rtype::A | rtype::AAAA) => self.alias(target, qtype),
            _ => Reply::NoData(apex),
        }
    }

    /// Follows an ExternalName as long as it stays in the cluster.
    fn alias<'z>(&'z self, first: &'z Name, qtype: u16) -> Reply<'z> {
        let mut targets = vec![first];
        while targets.len() <= CHAIN {
            let target = targets[targets.len() - 1].to_lowercase();
            let labels: Vec<_> = target.labels().collect();
            let domain: Vec<_> = self.cluster.name.labels().collect();
            let Some(labels) = labels.strip_suffix(&*domain) else {
                return Reply::Alias { targets, answer: None };
            };
            if let [name, namespace, b"svc"] = labels
                && let Some(records) = self.service(name, namespace)
                && let Content::Alias { target, .. } = &records.content
            {
                targets.push(target);
                continue;
            }
            return match self.cluster(labels, qtype) {
                Reply::Records { answer, .. } => Reply::Alias { targets, answer: Some(answer) },
                Reply::ServFail(apex) => Reply::ServFail(apex),
                _ => Reply::NoData(&self.cluster),
            };
        }
        Reply::NoData(&self.cluster)
    }

    /// A name below a Service: that of an endpoint, or the one above its ports.
    fn endpoint(&self, label: &[u8], name: &[u8], namespace: &[u8], qtype: u16) -> Reply<'_> {
        let apex = &self.cluster;
        let Some(service) = self.service(name, namespace) else { return self.denied(apex) };
        if matches!(service.content, Content::Alias { .. }) {
            return self.denied(apex);
        }
        if label.starts_with(b"_") && protocol(label).is_some_and(|protocol| service.has_protocol(protocol)) {
            return Reply::NoData(apex);
        }
        let endpoints = if self.options.endpoints { service.endpoint(label) } else { Vec::new() };
        if endpoints.is_empty() {
            return self.denied(apex);
        }
        if qtype == rtype::SRV {
            return self.of_srv(service.endpoint_srv(&endpoints));
        }
        let addresses = |one: &&Endpoint| one.ip;
        self.of_addresses(&endpoints.iter().map(addresses).collect::<Vec<_>>(), qtype)
    }

    /// `_port._protocol.service.namespace`; the underscores may be missing, as with CoreDNS.
    fn port(&self, port: &[u8], proto: &[u8], name: &[u8], namespace: &[u8], qtype: u16) -> Reply<'_> {
        let apex = &self.cluster;
        let port = port.strip_prefix(b"_").unwrap_or(port);
        let found = protocol(proto).filter(|_| !port.is_empty()).and_then(|protocol| {
            let service = self.service(name, namespace)?;
            matches!(service.content, Content::Addresses { .. })
                .then(|| service.port(port, protocol))
                .flatten()
        });
        match (found, qtype) {
            (None, _) => self.denied(apex),
            (Some((srv, _)), rtype::SRV) => self.of_srv(srv),
            (Some((_, addresses)), _) => self.of_addresses(&addresses, qtype),
        }
    }

    /// Names below `pod`: the address that they spell.
    fn pod(&self, labels: &[&[u8]], qtype: u16) -> Reply<'_> {
        let apex = &self.cluster;
        match (self.options.pods, labels) {
            (Pods::Insecure, [namespace]) if self.has_namespace(namespace) => Reply::NoData(apex),
            (Pods::Insecure, [label, namespace]) if self.has_namespace(namespace) => match undashed(label) {
                Some(ip) => self.of_addresses(&[ip], qtype),
                None => self.denied(apex),
            },
            _ => self.denied(apex),
        }
    }

    fn has_namespace(&self, namespace: &[u8]) -> bool {
        self.namespaces.contains_key(namespace)
    }

    fn of_srv(&self, srv: Srv) -> Reply<'_> {
        if srv.records.is_empty() {
            return Reply::NoData(&self.cluster);
        }
        Reply::built(srv.records, Some(srv.glue))
    }

    /// The addresses of the family asked for, each once.
    fn of_addresses(&self, addresses: &[IpAddr], qtype: u16) -> Reply<'_> {
        let v6 = match qtype {
            rtype::A => false,
            rtype::AAAA => true,
            _ => return Reply::NoData(&self.cluster),
        };
        let (mut set, mut seen) = (Builder::new(TTL_S), Vec::new());
        for ip in addresses.iter().filter(|ip| ip.is_ipv6() == v6) {
            if !seen.contains(ip) {
                seen.push(*ip);
                set.address(Owner::Question, *ip);
            }
        }
        match set.build() {
            set if set.is_empty() => Reply::NoData(&self.cluster),
            set => Reply::built(set, None),
        }
    }
}
