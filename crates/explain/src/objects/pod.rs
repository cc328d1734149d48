//! Pods, without their environment variables.

use super::meta::time;
use super::service::protocol;
use super::{Condition, Meta, Probe, TargetPort, condition, list, nullable};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its metadata.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: PodSpec,
    /// What its node says of it.
    pub status: PodStatus,
}

/// `PodSpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Its node; empty until the scheduler found one.
    pub node_name: String,
    /// Whether it has the network of its node.
    pub host_network: bool,
    /// Its host name, if not its name.
    pub hostname: String,
    /// The headless Service that gives it a DNS name.
    pub subdomain: String,
    /// `ClusterFirst` (also if empty), `ClusterFirstWithHostNet`, `Default` or `None`.
    pub dns_policy: String,
    /// Changes to its resolv.conf.
    #[serde(deserialize_with = "nullable")]
    pub dns_config: DnsConfig,
    /// Its containers.
    #[serde(deserialize_with = "list")]
    pub containers: Vec<Container>,
    /// Conditions that others must set before it is ready (KEP-580).
    #[serde(deserialize_with = "list")]
    pub readiness_gates: Vec<ReadinessGate>,
}

/// `PodDNSConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    /// Options of resolv.conf.
    #[serde(deserialize_with = "list")]
    pub options: Vec<DnsOption>,
}

/// An option of resolv.conf, such as `ndots`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DnsOption {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
}

/// A readiness gate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReadinessGate {
    /// The condition that has to be `True`.
    pub condition_type: String,
}

/// A container, without its environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The ports that it declares; it may serve others.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<ContainerPort>,
    /// What says that it is ready.
    pub readiness_probe: Option<Probe>,
    /// What it may take.
    #[serde(deserialize_with = "nullable")]
    pub resources: Resources,
}

/// `ResourceRequirements`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Quantities by resource: `memory: 64Mi`.
    #[serde(deserialize_with = "nullable")]
    pub limits: BTreeMap<String, String>,
}

/// A declared port.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its number.
    pub container_port: u32,
    /// `TCP` (also if empty), `UDP` or `SCTP`.
    pub protocol: String,
}

/// `PodStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// `Evicted`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Its conditions.
    #[serde(deserialize_with = "list")]
    pub conditions: Vec<Condition>,
    /// Its containers.
    #[serde(deserialize_with = "list")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Its init containers.
    #[serde(deserialize_with = "list")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// `ContainerStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The container.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether its readiness probe succeeds.
    pub ready: bool,
    /// Whether its startup probe has succeeded; absent where there is none.
    pub started: Option<bool>,
    /// How often it was started again.
    pub restart_count: u32,
    /// What it does.
    pub state: ContainerState,
    /// What it did before.
    pub last_state: ContainerState,
}

/// `ContainerState`: one of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It has not started yet.
    pub waiting: Option<Waiting>,
    /// It runs.
    pub running: Option<Running>,
    /// It ended.
    pub terminated: Option<Terminated>,
}

/// Why it waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `CrashLoopBackOff`.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// It runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// Since when.
    #[serde(deserialize_with = "time")]
    pub started_at: Option<Timestamp>,
}

/// How it ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// `OOMKilled`.
    pub reason: String,
    /// Its exit code.
    pub exit_code: i32,
}

impl Pod {
    /// Whether it takes part in Services.
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
    }

    /// Whether its end was asked for.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether all of its containers have ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The declared port of that name.
    pub fn named_port(&self, name: &str) -> Option<&ContainerPort> {
        self.ports().find(|port| port.name == name)
    }

    /// All ports that its containers declare.
    pub fn ports(&self) -> impl Iterator<Item = &ContainerPort> {
        self.spec.containers.iter().flat_map(|container| &container.ports)
    }

    /// The number that a target port is in this Pod, if it is one there: names are looked up among ports of that protocol.
    pub fn resolve(&self, target: &TargetPort, protocol: &str) -> Option<u32> {
        match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => {
                let mut ports = self.ports().filter(|port| port.protocol() == protocol);
                ports.find(|port| port.name == *name).map(|port| port.container_port)
            }
        }
    }
}

impl ContainerPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub fn protocol(&self) -> &str {
        protocol(&self.protocol)
    }
}
