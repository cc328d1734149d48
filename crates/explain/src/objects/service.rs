//! Services.

use super::{Condition, Labels, Meta, list, nullable};
use serde::Deserialize;

/// A Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its metadata.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What a load-balancer controller gave it.
    pub status: ServiceStatus,
}

/// `ServiceSpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP` (also if empty), `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its address; `None` for a headless one, empty for an ExternalName.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// Its addresses of both families.
    #[serde(rename = "clusterIPs", deserialize_with = "list")]
    pub cluster_ips: Vec<String>,
    /// Its ports.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<ServicePort>,
    /// Which Pods it is for: all labels must be equal.
    #[serde(deserialize_with = "nullable")]
    pub selector: Labels,
    /// Whether a client stays with one Pod.
    pub session_affinity: Affinity,
    /// The name it stands for.
    pub external_name: String,
    /// `Cluster` or `Local`.
    pub external_traffic_policy: String,
    /// `Cluster` or `Local`.
    pub internal_traffic_policy: String,
    /// Whose load balancer it wants.
    pub load_balancer_class: Option<String>,
    /// Whether clients are kept in their zone: `PreferClose` (KEP-4444).
    pub traffic_distribution: Option<String>,
    /// Whether Pods that are not ready are served, too.
    pub publish_not_ready_addresses: bool,
}

/// `sessionAffinity`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Affinity {
    /// By the client's address.
    ClientIP,
    /// None.
    #[default]
    #[serde(other)]
    None,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name; empty if it has none.
    pub name: String,
    /// `TCP` (also if empty), `UDP` or `SCTP`.
    pub protocol: String,
    /// The port of the ClusterIP.
    pub port: u32,
    /// The port of the Pods; absent means the same.
    pub target_port: Option<TargetPort>,
    /// The port of every node; 0 for none.
    pub node_port: u32,
    /// What is spoken, such as `http` or `kubernetes.io/h2c`.
    pub app_protocol: Option<String>,
}

/// A target port: a number, or the name of a container's port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// A number.
    Number(u32),
    /// A name.
    Name(String),
}

impl std::fmt::Display for TargetPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `ServiceStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceStatus {
    /// What a load-balancer controller gave it.
    pub load_balancer: LoadBalancerStatus,
    /// What controllers say of it.
    #[serde(deserialize_with = "list")]
    pub conditions: Vec<Condition>,
}

/// `LoadBalancerStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// The addresses.
    #[serde(deserialize_with = "list")]
    pub ingress: Vec<LoadBalancerAddress>,
}

/// `LoadBalancerIngress`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LoadBalancerAddress {
    /// An address,
    pub ip: String,
    /// or a name.
    pub hostname: String,
    /// `Proxy` if the load balancer takes the connection itself (KEP-1860).
    pub ip_mode: String,
}

impl Service {
    /// Whether it has Pods, and no address of its own.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Whether it stands for a name and nothing else.
    pub fn is_external_name(&self) -> bool {
        self.spec.kind == "ExternalName"
    }
}

impl ServicePort {
    /// `TCP`, `UDP` or `SCTP`.
    pub fn protocol(&self) -> &str {
        protocol(&self.protocol)
    }

    /// The port of the Pods.
    pub fn target(&self) -> TargetPort {
        match &self.target_port {
            // 0 and "" are what an absent one may be written as
            Some(TargetPort::Number(0)) | None => TargetPort::Number(self.port),
            Some(TargetPort::Name(name)) if name.is_empty() => TargetPort::Number(self.port),
            Some(target) => target.clone(),
        }
    }

    /// How to call it: its name, or its number.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.port.to_string() } else { self.name.clone() }
    }
}

/// The protocol that is meant: absent is TCP.
pub(super) fn protocol(written: &str) -> &str {
    if written.is_empty() { "TCP" } else { written }
}
