//! EndpointSlices.

use super::{Meta, list};
use serde::Deserialize;

/// An EndpointSlice: the label `kubernetes.io/service-name` says whose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Its metadata.
    pub metadata: Meta,
    /// Its endpoints.
    #[serde(deserialize_with = "list")]
    pub endpoints: Vec<Endpoint>,
    /// The ports that all of them serve.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<SlicePort>,
}

/// An endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint {
    /// Its addresses.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<String>,
    /// Its state.
    pub conditions: EndpointConditions,
    /// The Pod it is.
    pub target_ref: Option<TargetRef>,
    /// Its node.
    pub node_name: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// The zones it should serve.
    pub hints: Option<Hints>,
}

/// `EndpointConditions`: absent is unknown, which counts as ready.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Takes new connections.
    pub ready: Option<bool>,
    /// Ready, or would be if it did not end.
    pub serving: Option<bool>,
    /// Ends.
    pub terminating: Option<bool>,
}

/// What an endpoint is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TargetRef {
    /// `Pod`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// `EndpointHints` (KEP-2433).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hints {
    /// The zones.
    #[serde(deserialize_with = "list")]
    pub for_zones: Vec<Zone>,
}

/// A zone of a hint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// Its name.
    pub name: String,
}

/// A port of a slice.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: Option<String>,
    /// The Pods' port; absent is every port.
    pub port: Option<u32>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Option<String>,
}

impl Endpoint {
    /// Whether it takes new connections.
    pub fn is_ready(&self) -> bool {
        self.conditions.ready != Some(false)
    }
}

impl EndpointSlice {
    /// The name of the Service it belongs to.
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get("kubernetes.io/service-name").map(String::as_str)
    }

    /// Who writes it; `None` for one made by hand.
    pub fn manager(&self) -> Option<&str> {
        self.metadata.labels.get("endpointslice.kubernetes.io/managed-by").map(String::as_str)
    }
}
