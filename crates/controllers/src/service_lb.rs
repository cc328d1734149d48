//! LoadBalancer Services get the addresses of the Ready nodes, so that nothing stays `<pending>`.

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::node::ready_addresses;
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use k8s_openapi::api::core::v1::{LoadBalancerIngress, Node, Service};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Services that are worked on at the same time.
const AT_ONCE: usize = 8;
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("service-lb"));
    let adder = queue.clone();
    cluster.services.on_change(move |change| {
        if change.new.as_ref().is_some_and(|service| is_load_balancer(service) || has_ingress(service)) {
            adder.add(change.key.clone());
        }
    });
    let (adder, weak) = (queue.clone(), Arc::downgrade(cluster));
    cluster.nodes.on_change(move |change| {
        let given = |node: &Option<Arc<Node>>| node.as_deref().map(addresses);
        let Some(cluster) = weak.upgrade().filter(|_| given(&change.old) != given(&change.new)) else {
            return;
        };
        for service in cluster.services.all().iter().filter(|service| is_load_balancer(service)) {
            adder.add(Key::of(&service.metadata));
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(service) = cluster.services.get(&key) else { return Ok(Next::Wait) };
    if let Some(patch) = plan(&service, &cluster.nodes.all()) {
        absent_is_fine(cluster.services.patch(&key, Write::Status, &patch).await)?;
    }
    Ok(Next::Wait)
}

/// Ours unless another load balancer is named.
fn is_load_balancer(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|spec| {
        spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none()
    }) && service.metadata.deletion_timestamp.is_none()
}

fn ingress(service: &Service) -> &[LoadBalancerIngress] {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default()
}

fn has_ingress(service: &Service) -> bool {
    !ingress(service).is_empty()
}

/// The InternalIPs of a node that may take traffic.
fn addresses(node: &Node) -> Vec<String> {
    let excluded = node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED));
    if excluded { Vec::new() } else { ready_addresses(node) }
}

/// The merge patch of the status, unless it is right.
fn plan(service: &Service, nodes: &[Arc<Node>]) -> Option<Value> {
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_ref());
    if class.is_some() && service.spec.as_ref().is_some_and(|s| s.type_.as_deref() == Some("LoadBalancer")) {
        return None;
    }
    let wanted: Vec<Value> = if is_load_balancer(service) {
        let families = service.spec.as_ref().map(crate::slices::families).unwrap_or_default();
        let addresses = nodes.iter().flat_map(|node| addresses(node));
        let suits = |address: &String| families.contains(&address.contains(':'));
        addresses.filter(suits).map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect()
    } else {
        Vec::new()
    };
    let present: Vec<Value> =
        ingress(service).iter().map(|i| json!({"ip": i.ip, "ipMode": i.ip_mode})).collect();
    if present == wanted {
        return None;
    }
    let ingress = if wanted.is_empty() { Value::Null } else { json!(wanted) };
    let metadata = json!({"uid": service.metadata.uid, "resourceVersion": service.metadata.resource_version});
    Some(json!({"metadata": metadata, "status": {"loadBalancer": {"ingress": ingress}}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ip: &str, ready: &str) -> Arc<Node> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": ip}, "status": {
                "addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": ip}],
                "conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap(),
        )
    }

    #[test]
    fn ready_nodes_are_the_load_balancer() {
        let nodes = [node("10.123.0.2", "True"), node("10.123.0.3", "False"), node("10.123.0.4", "True")];
        let two = json!([{"ip": "10.123.0.2", "ipMode": "VIP"}, {"ip": "10.123.0.4", "ipMode": "VIP"}]);
        let spec = |kind: &str| json!({"type": kind, "ipFamilies": ["IPv4"]});
        let table = [
            (spec("LoadBalancer"), json!([]), Some(two.clone())),
            (spec("LoadBalancer"), two.clone(), None),
            (spec("ClusterIP"), two.clone(), Some(Value::Null)),
            (spec("NodePort"), json!([]), None),
            (json!({"type": "LoadBalancer", "loadBalancerClass": "x/y"}), two, None),
        ];
        for (spec, present, expected) in table {
            let service: Service = serde_json::from_value(
                json!({"metadata": {"name": "s"}, "spec": spec, "status": {"loadBalancer": {"ingress": present}}}),
            )
            .unwrap();
            let found =
                plan(&service, &nodes).map(|patch| patch["status"]["loadBalancer"]["ingress"].clone());
            assert_eq!(found, expected, "{spec}");
        }
    }
}
