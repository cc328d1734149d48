//! The end of a namespace: everything in it is deleted, then it is let go.

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::Error;
use crate::objects::Key;
use crate::queue::{Next, Queue};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::request::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FINALIZER: &str = "kubernetes";
/// Namespaces that are worked on at the same time.
const AT_ONCE: usize = 4;
/// What is still there says so when it goes; this is for what we do not watch.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The queue of namespaces, which the garbage collector adds to when an object goes.
pub(crate) struct Namespaces {
    queue: Queue<String>,
}

impl Namespaces {
    /// Registers for changes.
    pub(crate) fn new(cluster: &Arc<Cluster>) -> Arc<Self> {
        let namespaces = Arc::new(Self { queue: Queue::new("namespace") });
        let adder = namespaces.clone();
        cluster.namespaces.on_change(move |change| {
            if change.new.as_ref().is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
                adder.queue.add(change.key.name.clone());
            }
        });
        namespaces
    }

    /// Something in a namespace is gone; it may have been the last.
    pub(crate) fn object_gone(&self, cluster: &Cluster, key: &Key) {
        let namespace =
            (!key.namespace.is_empty()).then(|| cluster.namespaces.get(&Key::new("", &key.namespace)));
        if namespace.flatten().is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
            self.queue.add(key.namespace.clone());
        }
    }

    /// Works until `shutdown`.
    pub(crate) async fn run(
        self: Arc<Self>,
        cluster: Arc<Cluster>,
        kinds: Vec<Kind>,
        shutdown: CancellationToken,
    ) {
        cluster.synced().await;
        let kinds: Vec<Kind> =
            kinds.into_iter().filter(|k| k.namespaced && k.can("list") && k.can("delete")).collect();
        self.queue.run(AT_ONCE, &shutdown, |name| reconcile(&cluster, &kinds, name)).await;
    }
}

async fn reconcile(cluster: &Cluster, kinds: &[Kind], name: String) -> Result<Next, Error> {
    let Some(namespace) = cluster.namespaces.get(&Key::new("", &name)) else { return Ok(Next::Wait) };
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if namespace.metadata.deletion_timestamp.is_none()
        || !finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    {
        return Ok(Next::Wait);
    }
    let results = futures::future::join_all(kinds.iter().map(|kind| empty(cluster, kind, &name))).await;
    let mut left = 0;
    for result in results {
        left += result?;
    }
    if left > 0 {
        return Ok(Next::After(LOOK_AGAIN));
    }
    finalize(cluster, &name).await?;
    Ok(Next::Wait)
}

/// Deletes all objects of a kind; returns how many kinds (0 or 1) are not gone yet.
async fn empty(cluster: &Cluster, kind: &Kind, namespace: &str) -> Result<usize, Error> {
    let doing = format!("emptying namespace {namespace} of {}", kind.plural);
    let path = Request::new(kind.path(namespace));
    if remaining(cluster, &path, &doing).await? == 0 {
        return Ok(0);
    }
    if kind.can("deletecollection") {
        let request = path.delete_collection(&DeleteParams::background(), &ListParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        cluster.client.request::<Value>(request).await.map_err(Error::api(doing.clone()))?;
    } else {
        let request = path.list_metadata(&ListParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        let list: Value = cluster.client.request(request).await.map_err(Error::api(doing.clone()))?;
        for object in list["items"].as_array().into_iter().flatten() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let request = path.delete(name, &DeleteParams::background());
            let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
            let result = cluster.client.request::<Value>(request).await.map_err(Error::api(doing.clone()));
            crate::error::absent_is_fine(result)?;
        }
    }
    Ok(remaining(cluster, &path, &doing).await?.min(1))
}

async fn remaining(cluster: &Cluster, path: &Request, doing: &str) -> Result<usize, Error> {
    let request = path.list_metadata(&ListParams { limit: Some(1), ..ListParams::default() });
    let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing))?;
    let list: Value = cluster.client.request(request).await.map_err(Error::api(doing))?;
    Ok(list["items"].as_array().map_or(0, Vec::len))
}

/// Lets the namespace go. `…/finalize` takes the whole object, so it is read, unabridged, just before.
async fn finalize(cluster: &Cluster, name: &str) -> Result<(), Error> {
    let doing = format!("finalizing namespace {name}");
    let mut namespace = match cluster.namespaces.fetch(&Key::new("", name)).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    let kept = namespace["spec"]["finalizers"].as_array().into_iter().flatten();
    let kept: Vec<Value> = kept.filter(|finalizer| finalizer.as_str() != Some(FINALIZER)).cloned().collect();
    namespace["spec"]["finalizers"] = json!(kept);
    let body = serde_json::to_vec(&namespace).map_err(Error::json(doing.clone()))?;
    let request = Request::new("/api/v1/namespaces").replace_subresource(
        "finalize",
        name,
        &PostParams::default(),
        body,
    );
    let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
    crate::error::absent_is_fine(cluster.client.request::<Value>(request).await.map_err(Error::api(doing)))
}
