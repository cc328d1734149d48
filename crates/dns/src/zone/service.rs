//! The records of one Service: the common ones made beforehand, the rest when asked for.

use super::label::{dashed, endpoint_label, undashed};
use super::{Options, TTL_S};
use crate::wire::{Builder, Name, Owner, RecordSet, rtype};
use sealane_model::{Endpoint, Protocol, ServiceKind, ServiceView};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What a Service is in DNS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceRecords {
    view: Arc<ServiceView>,
    /// Its name in full.
    pub(super) name: Name,
    pub(super) content: Content,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Addresses and ports.
    Addresses { a: RecordSet, aaaa: RecordSet, srv: Srv },
    /// Another name (ExternalName).
    Alias { target: Name, cname: RecordSet },
}

/// SRV records and the addresses of their targets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) records: RecordSet,
    pub(super) glue: RecordSet,
}

/// A host, one of its addresses and a port that serve a Service.
struct Target {
    name: Name,
    ip: IpAddr,
    port: u16,
}

impl ServiceRecords {
    /// `None` if the Service does not exist in DNS.
    pub(super) fn new(view: &Arc<ServiceView>, options: &Options) -> Option<Self> {
        let labels = [view.name.name.to_ascii_lowercase(), view.name.namespace.to_ascii_lowercase()];
        let name = options.svc.below(&[labels[0].as_bytes(), labels[1].as_bytes()])?;
        if view.kind == ServiceKind::ExternalName {
            let target = alias_target(view.external_name.as_deref()?)?;
            let mut cname = Builder::new(TTL_S);
            cname.name(Owner::Question, rtype::CNAME, &target);
            let content = Content::Alias { cname: cname.build(), target };
            return Some(Self { view: view.clone(), name, content });
        }
        let no_endpoint = !view.endpoints.iter().any(|one| one.ready);
        let absent =
            if view.headless { no_endpoint || !options.endpoints } else { view.cluster_ips.is_empty() };
        if absent || (options.ignore_empty_services && no_endpoint) {
            return None;
        }
        let of_family = |v6: bool| {
            let mut set = Builder::new(TTL_S);
            let addresses = service_addresses(view, |_| true);
            addresses.iter().filter(|ip| ip.is_ipv6() == v6).for_each(|ip| set.address(Owner::Question, *ip));
            set.build()
        };
        let content = Content::Addresses {
            a: of_family(false),
            aaaa: of_family(true),
            srv: service_srv(view, &name, |_, _| true),
        };
        Some(Self { view: view.clone(), name, content })
    }

    /// The addresses by which reverse queries find this Service.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        let endpoints = ready(&self.view).map(|one| one.ip);
        self.view.cluster_ips.iter().copied().chain(endpoints).collect()
    }

    /// The addresses its name has.
    pub(super) fn service_addresses(&self) -> Vec<IpAddr> {
        service_addresses(&self.view, |_| true)
    }

    pub(super) fn has_protocol(&self, protocol: Protocol) -> bool {
        let of_endpoints = ready(&self.view).flat_map(|one| one.ports.iter()).any(|port| port.1 == protocol);
        self.view.ports.iter().any(|port| port.protocol == protocol) || (self.view.headless && of_endpoints)
    }

    /// The SRV records of one named port, and the addresses behind it; `None` if there is no such port.
    pub(super) fn port(&self, name: &[u8], protocol: Protocol) -> Option<(Srv, Vec<IpAddr>)> {
        let wanted = |port: &str, of: Protocol| of == protocol && port.as_bytes().eq_ignore_ascii_case(name);
        let srv = service_srv(&self.view, &self.name, wanted);
        let has_port = |one: &Endpoint| one.ports.iter().any(|(port, of, _)| wanted(port, *of));
        (!srv.records.is_empty()).then(|| (srv, service_addresses(&self.view, has_port)))
    }

    /// The ready endpoints that have this label.
    pub(super) fn endpoint(&self, label: &[u8]) -> Vec<&Endpoint> {
        let spelled = undashed(label).filter(|ip| dashed(*ip).as_bytes() == label);
        let is = |one: &&Endpoint| match &one.hostname {
            Some(hostname) => hostname.as_bytes().eq_ignore_ascii_case(label),
            None => spelled == Some(one.ip),
        };
        ready(&self.view).filter(is).collect()
    }

    /// SRV records of the name of these endpoints.
    pub(super) fn endpoint_srv(&self, endpoints: &[&Endpoint]) -> Srv {
        srv(endpoints.iter().flat_map(|one| targets_of(&self.name, one, |_, _| true)))
    }

    /// The name an address has by this Service: its own if it is a cluster IP, else those of the endpoints.
    pub(super) fn names_of(&self, ip: IpAddr) -> (bool, BTreeSet<Name>) {
        if self.view.cluster_ips.contains(&ip) {
            return (true, [self.name.clone()].into());
        }
        (
            false,
            ready(&self.view).filter(|one| one.ip == ip).filter_map(|one| below(&self.name, one)).collect(),
        )
    }
}

/// A name that is an address is not served: it would be a name that no one can resolve.
fn alias_target(name: &str) -> Option<Name> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    Name::parse(name).filter(|name| name.wire().len() > 1)
}

fn ready(view: &ServiceView) -> impl Iterator<Item = &Endpoint> {
    view.endpoints.iter().filter(|one| one.ready)
}

fn below(service: &Name, endpoint: &Endpoint) -> Option<Name> {
    service.below(&[&endpoint_label(endpoint)])
}

/// Cluster IPs, or those of the wanted endpoints; each once.
fn service_addresses(view: &ServiceView, wanted: impl Fn(&Endpoint) -> bool) -> Vec<IpAddr> {
    if !view.headless {
        return view.cluster_ips.clone();
    }
    let addresses: BTreeSet<_> = ready(view).filter(|one| wanted(one)).map(|one| one.ip).collect();
    addresses.into_iter().collect()
}

/// The SRV records of the wanted ports.
fn service_srv(view: &ServiceView, name: &Name, wanted: impl Fn(&str, Protocol) -> bool) -> Srv {
    if view.headless {
        return srv(ready(view).flat_map(|one| targets_of(name, one, &wanted)));
    }
    let ports = view.ports.iter().filter(|port| wanted(&port.name, port.protocol));
    srv(ports.flat_map(|port| {
        view.cluster_ips.iter().map(|ip| Target { name: name.clone(), ip: *ip, port: port.port })
    }))
}

fn targets_of(service: &Name, endpoint: &Endpoint, wanted: impl Fn(&str, Protocol) -> bool) -> Vec<Target> {
    let Some(name) = below(service, endpoint) else { return Vec::new() };
    let ports = endpoint.ports.iter().filter(|(port, of, _)| wanted(port, *of));
    ports
        .filter_map(|(_, _, port)| Some(Target { name: name.clone(), ip: endpoint.ip, port: (*port)? }))
        .collect()
}

/// All targets weigh the same, a hundredth part each and at least 1. Both families of a host count for the weight; they
/// are one record and two addresses.
fn srv(targets: impl Iterator<Item = Target>) -> Srv {
    let targets: Vec<_> = targets.collect();
    let weight = u16::try_from(100 / targets.len().max(1)).unwrap_or(1).max(1);
    let (mut records, mut glue) = (Builder::new(TTL_S), Builder::new(TTL_S));
    let (mut ports, mut addresses) = (HashSet::new(), HashSet::new());
    for Target { name, ip, port } in &targets {
        if ports.insert((name, port)) {
            records.srv(Owner::Question, weight, *port, name);
        }
        if addresses.insert((name, ip)) {
            glue.address(Owner::Name(name), *ip);
        }
    }
    Srv { records: records.build(), glue: glue.build() }
}
