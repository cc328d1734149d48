//! The configuration, checked and in wire form.

use crate::wire::Name;
use crate::{Config, Error, Pods};
use sealane_model::ServiceName;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a zone depends on besides the snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) domain: Name,
    pub(super) in_addr: Name,
    pub(super) ip6: Name,
    /// `svc` below the domain.
    pub(super) svc: Name,
    pub(super) dns_service: ServiceName,
    /// Where this server answers, for `ns.dns` before the Service is known.
    pub(super) local: Vec<IpAddr>,
    pub(super) pods: Pods,
    pub(super) endpoints: bool,
    pub(super) ignore_empty_services: bool,
    /// There are upstreams.
    pub(super) forwards: bool,
    namespaces: Option<BTreeSet<String>>,
}

impl Options {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The cluster domain is no domain name, or too long to have Services in it.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let bad_domain = || Error::ClusterDomain(config.cluster_domain.clone());
        let known = |name| Name::parse(name).expect("a domain name");
        // Leaves room for the longest names: an endpoint's, its Service's and its namespace's label, and `svc`.
        let domain = Name::parse(&config.cluster_domain).filter(|name| (2..=58).contains(&name.wire().len()));
        let domain = domain.ok_or_else(bad_domain)?.to_lowercase();
        let mut local: Vec<_> =
            config.listen.iter().map(|at| at.ip()).filter(|ip| !ip.is_unspecified()).collect();
        local.sort_unstable();
        local.dedup();
        Ok(Self {
            svc: domain.below(&[b"svc"]).ok_or_else(bad_domain)?,
            domain,
            in_addr: known("in-addr.arpa"),
            ip6: known("ip6.arpa"),
            dns_service: config.dns_service.clone(),
            local,
            pods: config.pods,
            endpoints: config.endpoints,
            ignore_empty_services: config.ignore_empty_services,
            forwards: !config.upstream.is_empty(),
            namespaces: config.namespaces.clone(),
        })
    }

    pub(super) fn serves_namespace(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
    }
}
