//! The options of cluster DNS.

use crate::forward::Forwarding;
use sealane_model::ServiceName;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Whether `10-1-0-5.NAMESPACE.pod.DOMAIN` has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pods {
    /// It does not exist.
    Disabled,
    /// It has the address it spells, whether or not there is such a Pod; what most clusters are set up with.
    Insecure,
}

/// What [`run`](crate::run) is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to answer, UDP and TCP; port 53 of the node's addresses.
    pub listen: Vec<SocketAddr>,
    /// `cluster.local`, usually.
    pub cluster_domain: String,
    /// The Service by which clients know this server; it is the name server that the zone names.
    pub dns_service: ServiceName,
    /// Where to ask for names outside the cluster, the preferred first; without any they are refused.
    pub upstream: Vec<SocketAddr>,
    /// How to ask there.
    pub forwarding: Forwarding,
    /// Where to serve `/metrics`, `/health` and `/ready` over HTTP; port 9153 of the node's address.
    pub metrics_listen: Vec<SocketAddr>,
    /// Names of Pods.
    pub pods: Pods,
    /// If given, only these namespaces exist.
    pub namespaces: Option<BTreeSet<String>>,
    /// Whether the endpoints of Services have names, and headless Services addresses.
    pub endpoints: bool,
    /// Whether a Service without ready endpoints does not exist.
    pub ignore_empty_services: bool,
}

impl Default for Config {
    /// No address to listen on; the rest as a usual cluster has it.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            cluster_domain: "cluster.local".into(),
            dns_service: ServiceName { namespace: "kube-system".into(), name: "kube-dns".into() },
            upstream: Vec::new(),
            forwarding: Forwarding::default(),
            metrics_listen: Vec::new(),
            pods: Pods::Insecure,
            namespaces: None,
            endpoints: true,
            ignore_empty_services: false,
        }
    }
}
