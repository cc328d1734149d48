//! What makes Pods, and Events.

use super::meta::time;
use super::{Condition, LabelSelector, Meta, PodSpec, list, nullable};
use jiff::Timestamp;
use serde::Deserialize;

/// A Deployment, ReplicaSet, StatefulSet or DaemonSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// Which of them; the snapshot's reader fills it in, since lists leave it out.
    pub kind: String,
    /// Its metadata.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: WorkloadSpec,
    /// How far it is.
    pub status: WorkloadStatus,
}

/// The common part of their specs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// How many Pods; absent is one, and a DaemonSet has none.
    pub replicas: Option<u32>,
    /// Whether changes of the template wait.
    pub paused: bool,
    /// Its Pods.
    #[serde(deserialize_with = "nullable")]
    pub selector: LabelSelector,
    /// What it makes.
    pub template: Template,
}

/// A Pod template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// The labels of its Pods.
    #[serde(deserialize_with = "nullable")]
    pub metadata: Meta,
    /// Their specs.
    pub spec: PodSpec,
}

/// The common part of their statuses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Pods that there are.
    pub replicas: u32,
    /// Of those, of the present template.
    pub updated_replicas: u32,
    /// Conditions.
    #[serde(deserialize_with = "list")]
    pub conditions: Vec<Condition>,
}

/// An Event of core/v1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// Its metadata.
    pub metadata: Meta,
    /// What it is about.
    pub involved_object: Involved,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was last seen.
    #[serde(deserialize_with = "time")]
    pub last_timestamp: Option<Timestamp>,
    /// When it was seen, where the writer uses the newer API.
    #[serde(deserialize_with = "time")]
    pub event_time: Option<Timestamp>,
}

/// What an Event is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Involved {
    /// `Service`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Workload {
    /// How many Pods are wanted.
    pub fn replicas(&self) -> u32 {
        self.spec.replicas.unwrap_or(1)
    }
}

impl Event {
    /// When it was last seen.
    pub fn at(&self) -> Option<Timestamp> {
        self.last_timestamp.or(self.event_time).or(self.metadata.creation_timestamp)
    }
}
