//! The settings of the controllers.

use crate::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The settings of the controllers.
#[derive(Debug, Clone)]
pub struct Config {
    /// The API as nodes and Pods reach it: endpoint of Service `kubernetes`.
    pub advertise: SocketAddr,
    /// The ClusterIP of Service `kube-dns`.
    pub dns_address: IpAddr,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// Where nodes get their Pod ranges from, as (address, prefix length).
    pub pod_cidr: (IpAddr, u8),
    /// Prefix length of one node's Pod range.
    pub node_pod_prefix: u8,
    /// The cluster's CA as PEM, for `kube-root-ca.crt`.
    pub ca_pem: String,
    /// Silence of a node after which it is no longer Ready.
    pub node_monitor_grace: Duration,
    /// How long Pods stay bound to a node that is not Ready, if they say nothing themselves
    /// (`default-not-ready-toleration-seconds`).
    pub default_toleration: Duration,
    /// Age at which events are deleted (`--event-ttl`).
    pub event_ttl: Duration,
}

impl Config {
    /// Settings with Kubernetes' defaults for all that is not a choice of the cluster.
    #[must_use]
    pub fn new(advertise: SocketAddr, dns_address: IpAddr, pod_cidr: (IpAddr, u8), ca_pem: String) -> Self {
        Self {
            advertise,
            dns_address,
            cluster_domain: "cluster.local".to_owned(),
            node_pod_prefix: if pod_cidr.0.is_ipv4() { 24 } else { 64 },
            pod_cidr,
            ca_pem,
            node_monitor_grace: Duration::from_secs(40),
            default_toleration: Duration::from_secs(300),
            event_ttl: Duration::from_secs(3600),
        }
    }

    /// What contradicts itself in the settings.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let (address, prefix) = self.pod_cidr;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix > self.node_pod_prefix || self.node_pod_prefix > bits {
            let text = format!(
                "a node's Pod range /{} does not lie within {address}/{prefix}",
                self.node_pod_prefix
            );
            return Err(Error::Config(text));
        }
        Ok(())
    }
}
