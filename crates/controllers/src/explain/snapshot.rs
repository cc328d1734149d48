//! The controllers' caches as `explain` sees a cluster.

use crate::cluster::Cluster;
use crate::objects::Object;
use crate::{Error, error};
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use sealane_explain::objects::Word;
use sealane_explain::{Kind, Snapshot, Unread};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take to say how it is; it is looked at again soon.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the API server of ours does not serve.
const ABSENT: [Kind; 4] = [Kind::StatefulSet, Kind::DaemonSet, Kind::Ingress, Kind::NetworkPolicy];

#[derive(Serialize)]
struct Page<'a, K> {
    items: Vec<&'a K>,
}

/// A namespace, and what belongs to none.
pub(super) async fn of(cluster: &Cluster, namespace: &str) -> Result<Snapshot, Error> {
    let mut snapshot = Snapshot { now: Timestamp::now(), ..Snapshot::default() };
    take(&mut snapshot, Kind::Service, &cluster.services.in_namespace(namespace))?;
    take(&mut snapshot, Kind::Pod, &cluster.pods.in_namespace(namespace))?;
    take(&mut snapshot, Kind::EndpointSlice, &cluster.endpoint_slices.in_namespace(namespace))?;
    take(&mut snapshot, Kind::Deployment, &cluster.deployments.in_namespace(namespace))?;
    take(&mut snapshot, Kind::ReplicaSet, &cluster.replica_sets.in_namespace(namespace))?;
    take(&mut snapshot, Kind::Node, &cluster.nodes.all())?;
    take(&mut snapshot, Kind::Namespace, &cluster.namespaces.all())?;
    take(&mut snapshot, Kind::ServiceCidr, &cluster.service_cidrs.all())?;
    snapshot.unread.extend(ABSENT.map(|kind| Unread { kind, why: None }));
    if namespace != "kube-system" {
        let why = Some("it is looked at when its own namespace is".into());
        snapshot.unread.push(Unread { kind: Kind::ClusterDns, why });
    }
    events(cluster, namespace, &mut snapshot).await;
    words(cluster, &mut snapshot).await;
    Ok(snapshot)
}

fn take<K: Object + Serialize>(snapshot: &mut Snapshot, kind: Kind, objects: &[Arc<K>]) -> Result<(), Error> {
    let page = serde_json::to_vec(&Page { items: objects.iter().map(|object| &**object).collect() });
    let page = page.map_err(error::Error::json("encoding what is to be explained"))?;
    snapshot.take(kind, &page).map_err(error::Error::json("reading what is to be explained"))?;
    Ok(())
}

/// Events are not cached: they are many, and this is the only reader.
async fn events(cluster: &Cluster, namespace: &str, snapshot: &mut Snapshot) {
    let path = format!("{}?fieldSelector=type%21%3DNormal", Kind::Event.path(Some(namespace)));
    let read =
        get(cluster, &path).await.is_some_and(|page| snapshot.take(Kind::Event, page.as_bytes()).is_ok());
    if !read {
        snapshot.unread.push(Unread { kind: Kind::Event, why: Some("the API did not answer".into()) });
    }
}

/// What the Ready nodes say of themselves; one that does not answer says nothing.
async fn words(cluster: &Cluster, snapshot: &mut Snapshot) {
    let ready = snapshot.nodes.iter().filter(|node| node.is_ready());
    let names: Vec<String> = ready.map(|node| node.metadata.name.clone()).collect();
    let said = join_all(names.into_iter().map(|name| async move {
        let path = format!("/api/v1/nodes/{name}/proxy/sealane/v1/explain");
        let text = tokio::time::timeout(PATIENCE, get(cluster, &path)).await.ok()??;
        Some((name, serde_json::from_str::<Word>(&text).ok()?))
    }));
    snapshot.words.extend(said.await.into_iter().flatten());
}

async fn get(cluster: &Cluster, path: &str) -> Option<String> {
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    match cluster.client.request_text(request).await {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::debug!(%error, path, "not read");
            None
        }
    }
}
