//! The objects that a cluster has of itself: Service `kube-dns`, and the endpoints of `kube-dns` and `kubernetes`.
//! (Namespaces, RBAC and Service `kubernetes` are written by the API server.)

mod plan;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use crate::slices;
use plan::Target;
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The one key.
const ALL: &str = "bootstrap";

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("bootstrap"));
    let adder = queue.clone();
    cluster.nodes.on_change(move |change| {
        if change.old.as_deref().map(plan::endpoint_of) != change.new.as_deref().map(plan::endpoint_of) {
            adder.add(ALL);
        }
    });
    let adder = queue.clone();
    cluster.services.on_change(move |change| add_if_ours(&adder, &change.key));
    let adder = queue.clone();
    cluster.endpoints.on_change(move |change| add_if_ours(&adder, &change.key));
    let adder = queue.clone();
    cluster.endpoint_slices.on_change(move |change| add_if_ours(&adder, &change.key));
    let adder = queue.clone();
    cluster.namespaces.on_change(move |change| {
        if change.old.is_none() && change.key.name == plan::KUBE_DNS.0 {
            adder.add(ALL);
        }
    });
    queue.add(ALL);
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(1, &shutdown, |_| reconcile(&cluster)).await;
    }
}

fn add_if_ours(queue: &Queue<&'static str>, key: &Key) {
    let is = |(namespace, name): (&str, &str)| key.namespace == namespace && key.name == name;
    if is(plan::KUBE_DNS) || is(plan::KUBERNETES) {
        queue.add(ALL);
    }
}

async fn reconcile(cluster: &Cluster) -> Result<Next, Error> {
    let config = &cluster.config;
    let dns = Key::new(plan::KUBE_DNS.0, plan::KUBE_DNS.1);
    if cluster.services.get(&dns).is_none() && cluster.namespaces.get(&Key::new("", &dns.namespace)).is_some()
    {
        match cluster.services.create(&dns.namespace, plan::dns_service(config.dns_address)).await {
            Err(error) if error.is_already_exists() => {}
            other => other.map(|_| ())?,
        }
    }
    keep(cluster, plan::kubernetes(config.advertise)).await?;
    keep(cluster, plan::kube_dns(&cluster.nodes.all(), config.dns_address)).await?;
    Ok(Next::Wait)
}

/// Keeps the Endpoints and the slice of a Service that selects nothing.
async fn keep(cluster: &Cluster, target: Target) -> Result<(), Error> {
    let key = Key::new(target.namespace, target.name);
    let Some(service) = cluster.services.get(&key) else { return Ok(()) };
    // A user's own kube-dns, with Pods, has the usual controllers.
    if slices::selecting_spec(&service).is_some() {
        return Ok(());
    }
    let slice = target.slice(&service);
    match cluster.endpoint_slices.get(&key) {
        None => drop(cluster.endpoint_slices.create(&key.namespace, slice).await?),
        Some(current) => {
            if let Some(patch) = plan::mend(&json!(current.as_ref()), &slice, &["endpoints", "ports"]) {
                cluster.endpoint_slices.patch(&key, Write::Merge, &patch).await?;
            }
        }
    }
    let endpoints = target.endpoints(&service);
    match cluster.endpoints.get(&key) {
        None => drop(cluster.endpoints.create(&key.namespace, endpoints).await?),
        Some(current) => {
            if let Some(patch) = plan::mend(&json!(current.as_ref()), &endpoints, &["subsets"]) {
                cluster.endpoints.patch(&key, Write::Merge, &patch).await?;
            }
        }
    }
    Ok(())
}
