//! Gives every node a range for its Pods (`spec.podCIDR`).

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The one key: ranges are given one after the other.
const ALL: &str = "nodes";

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("node-ipam"));
    let adder = queue.clone();
    cluster.nodes.on_change(move |change| {
        if change.new.as_ref().is_some_and(|node| ranges(node).is_empty()) {
            adder.add(ALL);
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.nodes.synced().await;
        queue.run(1, &shutdown, |_| reconcile(&cluster)).await;
    }
}

async fn reconcile(cluster: &Cluster) -> Result<Next, Error> {
    let nodes = cluster.nodes.all();
    let (given, short) = plan(&nodes, cluster.config.pod_cidr, cluster.config.node_pod_prefix);
    for (node, range) in given {
        let patch = json!({
            "metadata": {"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": range, "podCIDRs": [range]},
        });
        absent_is_fine(cluster.nodes.patch(&Key::of(&node.metadata), Write::Merge, &patch).await)?;
    }
    for node in short {
        let note = crate::recorder::Note::warning(
            "CIDRNotAvailable",
            format!("Node {node} status is now: CIDRNotAvailable"),
        );
        if let Some(node) = cluster.nodes.get(&Key::new("", &node)) {
            cluster.record("cidrAllocator", node.as_ref(), [note]);
        }
    }
    Ok(Next::Wait)
}

fn ranges(node: &Node) -> Vec<&str> {
    let spec = node.spec.as_ref();
    let many = spec.and_then(|spec| spec.pod_cidrs.as_ref()).into_iter().flatten().map(String::as_str);
    let one = spec.and_then(|spec| spec.pod_cidr.as_deref());
    many.chain(one).filter(|range| !range.is_empty()).collect()
}

/// The ranges to give, and the nodes for which none is left. `node-N` gets the N-th range if it is free, any other
/// node the first free one.
fn plan(nodes: &[Arc<Node>], cidr: (IpAddr, u8), prefix: u8) -> (Vec<(&Arc<Node>, String)>, Vec<String>) {
    let mut taken: BTreeSet<String> = nodes.iter().flat_map(|node| ranges(node)).map(str::to_owned).collect();
    let count = 1u128.checked_shl(u32::from(prefix.saturating_sub(cidr.1))).unwrap_or(u128::MAX);
    let (mut given, mut short) = (Vec::new(), Vec::new());
    for node in nodes.iter().filter(|node| ranges(node).is_empty()) {
        let name = crate::owner::name(&node.metadata);
        let number = name.rsplit_once('-').and_then(|(_, number)| number.parse::<u128>().ok());
        let own = number.and_then(|number| number.checked_sub(1)).filter(|index| *index < count);
        // One more range than there are nodes is enough to find a free one.
        let others = 0..count.min(taken.len() as u128 + 1);
        match own
            .into_iter()
            .chain(others)
            .map(|index| range(cidr, prefix, index))
            .find(|range| !taken.contains(range))
        {
            Some(range) => {
                taken.insert(range.clone());
                given.push((node, range));
            }
            None => short.push(name.to_owned()),
        }
    }
    (given, short)
}

fn range((address, length): (IpAddr, u8), prefix: u8, index: u128) -> String {
    match address {
        IpAddr::V4(address) => {
            let base = u32::from(address) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let offset =
                u32::try_from(index).unwrap_or(u32::MAX).checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            format!("{}/{prefix}", Ipv4Addr::from(base | offset))
        }
        IpAddr::V6(address) => {
            let base = u128::from(address) & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let offset = index.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            format!("{}/{prefix}", Ipv6Addr::from(base | offset))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, range: Option<&str>) -> Arc<Node> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"podCIDR": range}})).unwrap(),
        )
    }

    #[test]
    fn ranges_by_number_then_the_first_free() {
        let cidr = ("10.244.0.0".parse().unwrap(), 16);
        let nodes = [
            node("node-1", None),
            node("node-3", None),
            node("old", Some("10.244.1.0/24")),
            node("node-2", None),
            node("zebra", None),
        ];
        let (given, short) = plan(&nodes, cidr, 24);
        let given: Vec<String> =
            given.iter().map(|(n, r)| format!("{} {r}", crate::owner::name(&n.metadata))).collect();
        let expected =
            ["node-1 10.244.0.0/24", "node-3 10.244.2.0/24", "node-2 10.244.3.0/24", "zebra 10.244.4.0/24"];
        assert_eq!(given, expected);
        assert!(short.is_empty());
    }

    #[test]
    fn when_none_is_left() {
        let cidr = ("10.244.0.0".parse().unwrap(), 24);
        let nodes = [node("node-1", None), node("node-2", None)];
        let (given, short) = plan(&nodes, cidr, 24);
        assert_eq!((given.len(), short), (1, vec!["node-2".to_owned()]));
    }

    #[test]
    fn six() {
        assert_eq!(range(("fd00::".parse().unwrap(), 48), 64, 2), "fd00:0:0:2::/64");
        assert_eq!(range(("10.0.0.0".parse().unwrap(), 8), 24, 257), "10.1.1.0/24");
    }
}
