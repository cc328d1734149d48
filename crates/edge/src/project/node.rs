//! A Node.

use super::{Projected, cidr};
use crate::finding::Findings;
use k8s_openapi::api::core::v1::Node;
use sealane_model::NodeView;

const ZONE: &str = "topology.kubernetes.io/zone";

/// The view of a node; `None` if the object has no name.
#[must_use]
pub fn project_node(node: &Node) -> Option<Projected<NodeView>> {
    let name = node.metadata.name.as_deref().filter(|name| !name.is_empty())?;
    let mut findings = Findings::default();
    let status = node.status.as_ref();
    let internal = status.and_then(|status| status.addresses.as_ref()).into_iter().flatten();
    let addresses = internal
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| findings.parse("status.addresses", &address.address))
        .collect();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ready = conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True");
    let labels = node.metadata.labels.as_ref();
    let value = NodeView {
        name: name.into(),
        addresses,
        pod_cidrs: pod_cidrs(&mut findings, node),
        zone: labels.and_then(|labels| labels.get(ZONE)).map(|zone| zone.as_str().into()),
        ready,
    };
    Some(Projected { value, findings: findings.0 })
}

fn pod_cidrs(findings: &mut Findings, node: &Node) -> Vec<(std::net::IpAddr, u8)> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let all = spec.pod_cidrs.as_ref().filter(|all| !all.is_empty());
    let texts = all.map_or(spec.pod_cidr.as_slice(), |all| all.as_slice());
    let mut ranges = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match cidr(text) {
            Some(range) => ranges.push(range),
            None => {
                findings.add(format!("spec.podCIDRs[{i}]"), format!("{text:?} is no range; it is left out"))
            }
        }
    }
    ranges
}
