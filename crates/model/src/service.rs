//! A Service with its endpoints, as the data path sees it.

use crate::{Endpoint, Protocol};
use std::net::IpAddr;
use std::sync::Arc;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// `spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// Reachable in the cluster only.
    ClusterIp,
    /// And on a port of every node.
    NodePort,
    /// And on load-balancer addresses.
    LoadBalancer,
    /// A name for another name.
    ExternalName,
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficPolicy {
    /// Any endpoint.
    Cluster,
    /// Endpoints of this node only.
    Local,
}

/// `sessionAffinity: ClientIP` and its time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionAffinity {
    /// Seconds, 1 to 86,400.
    pub timeout_s: u32,
}

/// `targetPort`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// The name of a container port.
    Name(Arc<str>),
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// `""` if the only port has none.
    pub name: Arc<str>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port of the Service's own addresses.
    pub port: u16,
    /// The port of every node.
    pub node_port: Option<u16>,
    /// Where it leads.
    pub target_port: TargetPort,
}

/// One entry of `status.loadBalancer.ingress` that has an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBalancerIngress {
    /// The address.
    pub ip: IpAddr,
    /// False if `ipMode` is `Proxy`: packets to it are not for us (KEP-1860).
    pub vip: bool,
}

/// A Service and all its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Its type.
    pub kind: ServiceKind,
    /// `clusterIPs` that are addresses; empty for headless and ExternalName Services.
    pub cluster_ips: Vec<IpAddr>,
    /// True if `clusterIP` is `None`.
    pub headless: bool,
    /// `externalName`, if it is an ExternalName Service.
    pub external_name: Option<Arc<str>>,
    /// `externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Load-balancer addresses.
    pub load_balancer: Vec<LoadBalancerIngress>,
    /// `loadBalancerSourceRanges` as (address, prefix length); empty is everyone.
    pub source_ranges: Vec<(IpAddr, u8)>,
    /// Its ports, in the order of the spec.
    pub ports: Vec<ServicePort>,
    /// Policy for traffic from inside the cluster.
    pub internal_policy: TrafficPolicy,
    /// Policy for traffic from outside.
    pub external_policy: TrafficPolicy,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// ClientIP affinity, if any.
    pub affinity: Option<SessionAffinity>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `trafficDistribution`.
    pub traffic_distribution: Option<Arc<str>>,
    /// Label `service.kubernetes.io/service-proxy-name`: another proxy serves it.
    pub proxy_name: Option<Arc<str>>,
    /// Label `service.kubernetes.io/headless`: no proxy serves it, whatever its addresses; DNS does.
    pub unproxied: bool,
    /// The endpoints of all its slices, sorted, without duplicates.
    pub endpoints: Vec<Endpoint>,
}

impl ServiceView {
    /// A Service of type ClusterIP with everything else as an empty spec has it: no address, port or endpoint yet.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            name: ServiceName { namespace: namespace.into(), name: name.into() },
            kind: ServiceKind::ClusterIp,
            cluster_ips: Vec::new(),
            headless: false,
            external_name: None,
            external_ips: Vec::new(),
            load_balancer: Vec::new(),
            source_ranges: Vec::new(),
            ports: Vec::new(),
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            health_check_node_port: None,
            affinity: None,
            publish_not_ready: false,
            traffic_distribution: None,
            proxy_name: None,
            unproxied: false,
            endpoints: Vec::new(),
        }
    }
}
