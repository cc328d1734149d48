//! The objects of a cluster as far as a cause looks at them. Everything else that an API server sends is skipped, whatever it
//! is, so that objects of any version and any vendor are read. Environment variables and Secrets are not among it.

mod labels;
mod meta;
mod network;
mod pod;
mod probe;
mod service;
mod slice;
mod word;
mod workload;

pub use labels::Labels;
pub use meta::{
    Condition, Meta, Namespace, Node, NodeAddress, NodeInfo, NodeSpec, NodeStatus, Owner, Written, condition,
};
pub use network::{Ingress, LabelSelector, NetworkPolicy, PolicyPort, PolicyRule, Requirement, ServiceCidr};
pub use pod::{
    Container, ContainerPort, ContainerState, ContainerStatus, Pod, PodSpec, PodStatus, Resources,
    Terminated, Waiting,
};
pub use probe::{HttpGet, PortAction, Probe};
pub use service::{Affinity, LoadBalancerAddress, Service, ServicePort, ServiceSpec, TargetPort};
pub use slice::{Endpoint, EndpointSlice, Hints, SlicePort, TargetRef};
pub use word::{Listener, PodWord, ProxyWord, Word};
pub use workload::{Event, Template, Workload, WorkloadSpec, WorkloadStatus};

use serde::{Deserialize, Deserializer};

/// Reads `null` as nothing: Go's encoder writes it for an empty list or map.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Reads a list, `null` as an empty one, into no more memory than it takes: most hold one object, and a cluster has many.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let mut list: Vec<T> = nullable(from)?;
    list.shrink_to_fit();
    Ok(list)
}
