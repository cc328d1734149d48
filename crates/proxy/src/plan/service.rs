//! One Service: its front ends, and the groups of endpoints behind them.

use super::{Finding, Options};
use sealane_model::{
    NodeView, Protocol, Scope, ServiceKind, ServicePort, ServiceView, TrafficPolicy, select,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// The endpoints of one port of a Service, for clients of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
    /// `External` only where the policies choose different endpoints.
    pub scope: Scope,
}

/// How connections are spread over a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// Each anew.
    Random,
    /// A client stays where it was, for this long after its last connection.
    Affinity {
        /// Seconds.
        timeout_s: u32,
    },
}

/// Endpoints that serve the same connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where connections go.
    pub endpoints: BTreeSet<SocketAddrV4>,
    /// How they are spread.
    pub spread: Spread,
    /// If there is no endpoint: true drops, false rejects.
    pub drop_when_empty: bool,
}

/// What a packet must be addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Front {
    /// An address and a port.
    Address(Ipv4Addr, Protocol, u16),
    /// A port of this node.
    NodePort(Protocol, u16),
}

/// Which of two Services that claim a front end has it: the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrontRank {
    /// A ClusterIP: nobody's external address may capture it.
    ClusterIp,
    /// A load-balancer address.
    LoadBalancer,
    /// An `externalIPs` entry.
    ExternalIp,
    /// A NodePort.
    NodePort,
}

/// Where a front end leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrontTarget {
    /// To a group of this Service.
    Group(GroupKey),
    /// Nowhere, silently.
    Drop,
}

/// A front end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontPlan {
    /// Where it leads.
    pub target: FrontTarget,
    /// True if clients' addresses become the node's.
    pub masquerade: bool,
    /// Its right of way.
    pub rank: FrontRank,
}

/// All that one Service needs of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServicePlan {
    /// Its groups of endpoints.
    pub groups: BTreeMap<GroupKey, Group>,
    /// Its front ends.
    pub fronts: BTreeMap<Front, FrontPlan>,
    /// Endpoints of this node that may reach themselves through the Service.
    pub hairpins: BTreeSet<Ipv4Addr>,
    /// ClusterIPs: what is for them and nobody serves is rejected.
    pub cluster_ips: BTreeSet<Ipv4Addr>,
    /// ClusterIPs that answer a ping: those with an endpoint.
    pub pings: BTreeSet<Ipv4Addr>,
}

/// The plan of one Service on one node, and what is wrong with it.
///
/// Total: any Service yields a plan; what cannot be served is left out and becomes a `Finding`. Headless and
/// ExternalName Services, those of another proxy (`service.kubernetes.io/service-proxy-name`) and those labelled
/// `service.kubernetes.io/headless` need nothing.
#[must_use]
pub fn plan_service(view: &ServiceView, node: &NodeView, options: &Options) -> (ServicePlan, Vec<Finding>) {
    let mut planner = Planner { view, node, options, plan: ServicePlan::default(), findings: Vec::new() };
    let external_name = view.external_name.is_some() || view.kind == ServiceKind::ExternalName;
    let elsewhere = view.proxy_name.is_some() || view.unproxied;
    if !elsewhere && !view.headless && !external_name {
        planner.plan();
    }
    (planner.plan, planner.findings)
}

struct Planner<'a> {
    view: &'a ServiceView,
    node: &'a NodeView,
    options: &'a Options,
    plan: ServicePlan,
    findings: Vec<Finding>,
}

impl Planner<'_> {
    fn finding(&mut self, reason: &'static str, message: String) {
        self.findings.push(Finding { service: self.view.name.clone(), reason, message });
    }

    fn plan(&mut self) {
        let cluster_ips = v4(self.view.cluster_ips.iter().copied());
        if cluster_ips.is_empty() && !self.view.cluster_ips.is_empty() {
            self.finding(
                "FamilyNotServed",
                "it has IPv6 addresses only, which are not programmed yet".to_owned(),
            );
            return;
        }
        self.plan.cluster_ips.extend(cluster_ips);
        for port in &self.view.ports {
            self.port(port);
        }
        if self.plan.groups.values().any(|group| !group.endpoints.is_empty()) {
            self.plan.pings = self.plan.cluster_ips.clone();
        }
    }

    fn port(&mut self, port: &ServicePort) {
        let internal = GroupKey { protocol: port.protocol, port: port.port, scope: Scope::Internal };
        if port.port == 0 {
            return self.finding("BadPort", format!("port {:?} has number 0 and is not served", port.name));
        }
        if self.plan.groups.contains_key(&internal) {
            let message = format!("port {} is there twice; {:?} is not served", port.port, port.name);
            return self.finding("DuplicatePort", message);
        }
        let group = self.group(port, Scope::Internal);
        self.plan.groups.insert(internal, group);
        let external = self.external_group(port, internal);
        for ip in self.plan.cluster_ips.clone() {
            let target = FrontTarget::Group(internal);
            self.front(Front::Address(ip, port.protocol, port.port), target, false, FrontRank::ClusterIp);
        }
        self.external_fronts(port, external);
    }

    /// The group for clients from outside: the same, unless the policies choose differently.
    fn external_group(&mut self, port: &ServicePort, internal: GroupKey) -> GroupKey {
        if self.view.external_policy == self.view.internal_policy || !self.has_external_fronts(port) {
            return internal;
        }
        let key = GroupKey { scope: Scope::External, ..internal };
        let group = self.group(port, Scope::External);
        self.plan.groups.insert(key, group);
        key
    }

    fn has_external_fronts(&self, port: &ServicePort) -> bool {
        port.node_port.is_some() || !self.view.external_ips.is_empty() || !self.view.load_balancer.is_empty()
    }

    fn group(&mut self, port: &ServicePort, scope: Scope) -> Group {
        let mut endpoints = BTreeSet::new();
        for selected in select(self.view, port, scope, self.node) {
            let SocketAddr::V4(address) = selected.address else { continue };
            let ip = *address.ip();
            if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || address.port() == 0 {
                self.finding("BadEndpoint", format!("endpoint {address} cannot be reached and is left out"));
                continue;
            }
            // A process of the node itself needs no translation to reach itself.
            if selected.local && !self.options.node_addresses.contains(&ip) {
                self.plan.hairpins.insert(ip);
            }
            endpoints.insert(address);
        }
        let policy = match scope {
            Scope::Internal => self.view.internal_policy,
            Scope::External => self.view.external_policy,
        };
        let spread = match self.view.affinity {
            Some(affinity) => Spread::Affinity { timeout_s: affinity.timeout_s.clamp(1, 86_400) },
            None => Spread::Random,
        };
        // A Service that other nodes could serve is not refused here: the client may try another.
        let elsewhere = policy == TrafficPolicy::Local && !self.view.endpoints.is_empty();
        Group { endpoints, spread, drop_when_empty: elsewhere }
    }

    fn external_fronts(&mut self, port: &ServicePort, group: GroupKey) {
        let masquerade = self.view.external_policy == TrafficPolicy::Cluster;
        let target = FrontTarget::Group(group);
        let exposed = matches!(self.view.kind, ServiceKind::NodePort | ServiceKind::LoadBalancer);
        if let Some(number) = port.node_port.filter(|number| exposed && *number > 0) {
            self.front(Front::NodePort(port.protocol, number), target, masquerade, FrontRank::NodePort);
        }
        for ip in v4(self.view.external_ips.iter().copied()) {
            let front = Front::Address(ip, port.protocol, port.port);
            self.front(front, target, masquerade, FrontRank::ExternalIp);
        }
        if self.view.kind != ServiceKind::LoadBalancer {
            return;
        }
        let restricted = self.view.source_ranges.iter().any(|(_, len)| *len > 0);
        if restricted && !self.view.load_balancer.is_empty() {
            let message =
                "loadBalancerSourceRanges is not supported yet: its load-balancer addresses are closed";
            self.finding("SourceRangesNotServed", message.to_owned());
        }
        for ip in v4(self.view.load_balancer.iter().filter(|ingress| ingress.vip).map(|ingress| ingress.ip)) {
            let front = Front::Address(ip, port.protocol, port.port);
            let target = if restricted { FrontTarget::Drop } else { target };
            self.front(front, target, masquerade, FrontRank::LoadBalancer);
        }
    }

    /// One Service may name an address twice (as external and load-balancer address); the first counts.
    fn front(&mut self, front: Front, target: FrontTarget, masquerade: bool, rank: FrontRank) {
        self.plan.fronts.entry(front).or_insert(FrontPlan { target, masquerade, rank });
    }
}

fn v4(addresses: impl Iterator<Item = IpAddr>) -> Vec<Ipv4Addr> {
    addresses
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .collect()
}
