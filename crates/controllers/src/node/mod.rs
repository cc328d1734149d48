//! Nodes: their Pod ranges, their silence, and the Pods of those that are gone.

pub(crate) mod ipam;
pub(crate) mod lifecycle;
mod plan;
pub(crate) mod pod_gc;

use k8s_openapi::api::core::v1::Node;

/// The InternalIPs of a node that is Ready and stays; none of any other.
pub(crate) fn ready_addresses(node: &Node) -> Vec<String> {
    let status = node.status.clone().unwrap_or_default();
    if plan::ready(node) != Some("True") || node.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let addresses = status.addresses.into_iter().flatten();
    addresses.filter(|address| address.type_ == "InternalIP").map(|address| address.address).collect()
}
