//! Metadata, conditions, nodes and namespaces.

use super::{Labels, list, nullable};
use jiff::Timestamp;
use serde::Deserialize;

/// `ObjectMeta`: what identifies an object, and who owns it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    pub name: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The uid.
    pub uid: String,
    /// The labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: Labels,
    /// When it was made.
    #[serde(deserialize_with = "time")]
    pub creation_timestamp: Option<Timestamp>,
    /// When its end was asked for.
    #[serde(deserialize_with = "time")]
    pub deletion_timestamp: Option<Timestamp>,
    /// Who must let go of it before it is gone.
    #[serde(deserialize_with = "list")]
    pub finalizers: Vec<String>,
    /// Who wrote it when.
    #[serde(deserialize_with = "list")]
    pub managed_fields: Vec<Written>,
    /// What it belongs to.
    #[serde(deserialize_with = "list")]
    pub owner_references: Vec<Owner>,
}

/// An entry of `managedFields`, without the fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Written {
    /// When.
    #[serde(deserialize_with = "time")]
    pub time: Option<Timestamp>,
    /// `status`, or empty for the object itself.
    pub subresource: String,
}

impl Meta {
    /// When it was last written, apart from its status, as far as the server tells.
    pub fn changed_at(&self) -> Option<Timestamp> {
        let written = self.managed_fields.iter().filter(|entry| entry.subresource.is_empty());
        written.filter_map(|entry| entry.time).chain(self.creation_timestamp).max()
    }

    /// What manages it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// An owner reference.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Owner {
    /// `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it manages the object.
    pub controller: bool,
}

/// A condition of a Pod, a node or a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Since when it has had this status.
    #[serde(deserialize_with = "time")]
    pub last_transition_time: Option<Timestamp>,
}

/// The condition of that type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its metadata; the label `topology.kubernetes.io/zone` is its zone.
    pub metadata: Meta,
    /// What is wanted of it.
    pub spec: NodeSpec,
    /// What it says of itself.
    pub status: NodeStatus,
}

/// `NodeSpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether it was cordoned: it takes no new Pods.
    pub unschedulable: bool,
}

/// `NodeStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its conditions.
    #[serde(deserialize_with = "list")]
    pub conditions: Vec<Condition>,
    /// Its software.
    pub node_info: NodeInfo,
    /// Its addresses.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<NodeAddress>,
}

/// `NodeAddress`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// `NodeSystemInfo`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// The agent's version; ours has `+sealane` in it.
    pub kubelet_version: String,
}

impl Node {
    /// Whether its agent says that it is ready.
    pub fn is_ready(&self) -> bool {
        condition(&self.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
    }

    /// The address at which the other nodes reach it.
    pub fn internal_ip(&self) -> Option<&str> {
        let internal = self.status.addresses.iter().find(|address| address.kind == "InternalIP");
        internal.map(|address| address.address.as_str())
    }

    /// Its zone, if it has one.
    pub fn zone(&self) -> Option<&str> {
        self.metadata.labels.get("topology.kubernetes.io/zone").map(String::as_str)
    }

    /// Whether its agent is sealane's, which tells more of itself than others do.
    pub fn is_sealane(&self) -> bool {
        self.status.node_info.kubelet_version.contains("+sealane")
    }
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Its metadata.
    pub metadata: Meta,
}

/// A time as RFC 3339 writes it; what is none counts as absent.
pub(super) fn time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}
