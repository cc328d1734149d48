//! The garbage collector: objects whose owners are gone go too, in the way their deletion asked for.

mod feed;
mod graph;
mod plan;

use crate::cluster::Cluster;
use crate::discovery::Kind;
use crate::error::{Error, absent_is_fine};
use crate::objects::{self, Key, Source, follow, lock};
use crate::queue::{Next, Queue};
use feed::{KindSink, Metadata};
use futures::future::BoxFuture;
use graph::{Graph, Object};
use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::ObjectMeta;
use kube::core::request::Request;
use plan::{OwnerState, Policy, Step, plan, state_of};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Objects that are worked on at the same time.
const AT_ONCE: usize = 32;

/// Called with the name of an object that is gone.
type OnGone = Box<dyn Fn(&Key) + Send + Sync>;

/// The shared state of the collector.
pub(crate) struct Collector {
    client: Client,
    kinds: Vec<Kind>,
    graph: Mutex<Graph>,
    queue: Queue<String>,
    on_gone: OnGone,
}

/// Registers with the caches, which must not be watching yet, and returns the watches of all other kinds and the work.
pub(crate) fn start(
    cluster: &Arc<Cluster>,
    kinds: Vec<Kind>,
    on_gone: impl Fn(&Key) + Send + Sync + 'static,
    shutdown: &CancellationToken,
) -> Vec<BoxFuture<'static, ()>> {
    let collector = Arc::new(Collector {
        client: cluster.client.clone(),
        kinds,
        graph: Mutex::new(Graph::default()),
        queue: Queue::new("garbage-collector"),
        on_gone: Box::new(on_gone),
    });
    let covered = collector.share_all(cluster);
    let (mut work, mut synced): (Vec<BoxFuture<'static, ()>>, Vec<_>) = (Vec::new(), Vec::new());
    for (index, kind) in collector.kinds.iter().enumerate() {
        let watched = ["list", "watch", "delete"].iter().all(|verb| kind.can(verb));
        if !watched || covered.contains(&index) || kind.kind == "Event" {
            continue;
        }
        let (done, wait) = watch::channel(false);
        synced.push(wait);
        let source = Source { path: kind.path(""), metadata_only: true, field_selector: None };
        let (client, feed, shutdown) = (cluster.client.clone(), collector.clone(), shutdown.clone());
        work.push(Box::pin(async move {
            let sink = KindSink { collector: feed, kind: index, synced: done };
            follow::<Metadata>(client, source, &sink, shutdown).await;
        }));
    }
    let (cluster, shutdown) = (cluster.clone(), shutdown.clone());
    work.push(Box::pin(async move {
        cluster.synced().await;
        for mut synced in synced {
            // An error means that the watch has ended, and with it everything.
            let _ = synced.wait_for(|synced| *synced).await;
        }
        collector.queue.run(AT_ONCE, &shutdown, |uid| collector.reconcile(uid)).await;
    }));
    work
}

impl Collector {
    /// Learns of all kinds that have a cache. Returns their indexes.
    fn share_all(self: &Arc<Self>, cluster: &Cluster) -> HashSet<usize> {
        let shared = [
            self.clone().share(&cluster.namespaces),
            self.clone().share(&cluster.nodes),
            self.clone().share(&cluster.pods),
            self.clone().share(&cluster.services),
            self.clone().share(&cluster.endpoints),
            self.clone().share(&cluster.endpoint_slices),
            self.clone().share(&cluster.config_maps),
            self.clone().share(&cluster.service_accounts),
            self.clone().share(&cluster.deployments),
            self.clone().share(&cluster.replica_sets),
            self.clone().share(&cluster.leases),
        ];
        shared.into_iter().flatten().collect()
    }

    /// Learns of a kind through its cache. Returns the kind's index, if it is served.
    fn share<K: objects::Object>(self: Arc<Self>, objects: &objects::Objects<K>) -> Option<usize> {
        let (group, name) = (K::group(&()), K::kind(&()));
        let kind = self.kinds.iter().position(|kind| kind.group == group && kind.kind == name)?;
        objects.on_change(move |change| match (&change.old, &change.new) {
            (_, Some(new)) => {
                if let Some(old) = change.old.as_ref().filter(|old| old.meta().uid != new.meta().uid) {
                    self.gone(crate::owner::uid(old.meta()));
                }
                self.seen(kind, new.meta());
            }
            (Some(old), None) => self.gone(crate::owner::uid(old.meta())),
            (None, None) => {}
        });
        Some(kind)
    }

    fn seen(&self, kind: usize, meta: &ObjectMeta) {
        let look = lock(&self.graph).put(crate::owner::uid(meta), Object::of(kind, meta));
        look.into_iter().for_each(|uid| self.queue.add(uid));
    }

    fn gone(&self, uid: &str) {
        let (key, look) = {
            let mut graph = lock(&self.graph);
            (graph.get(uid).map(|object| object.key.clone()), graph.remove(uid))
        };
        look.into_iter().for_each(|uid| self.queue.add(uid));
        if let Some(key) = key {
            (self.on_gone)(&key);
        }
    }

    async fn reconcile(&self, uid: String) -> Result<Next, Error> {
        let Some(object) = lock(&self.graph).get(&uid).cloned() else { return Ok(Next::Wait) };
        let mut states: Vec<OwnerState> = {
            let graph = lock(&self.graph);
            object.owners.iter().map(|owner| state_of(&graph, &object, owner)).collect()
        };
        for (owner, state) in object.owners.iter().zip(&mut states) {
            if *state == OwnerState::Unknown {
                *state = self.ask(&object, owner).await?;
            }
        }
        let step = {
            let graph = lock(&self.graph);
            // The object may have changed while the API was asked: then it is in the queue again.
            let same = graph.get(&uid).is_some_and(|now| now.owners == object.owners);
            if same { plan(&graph, &uid, &states) } else { Step::Leave }
        };
        self.carry_out(&uid, &object, step).await?;
        Ok(Next::Wait)
    }

    async fn carry_out(&self, uid: &str, object: &Object, step: Step) -> Result<(), Error> {
        match step {
            Step::Leave => Ok(()),
            Step::Await(dependents) => {
                dependents.into_iter().for_each(|uid| self.queue.add(uid));
                Ok(())
            }
            Step::Release => self.drop_finalizer(object, uid, "foregroundDeletion").await,
            Step::DropOwners(owners) => self.drop_owners(object, uid, &owners).await,
            Step::OrphanDependents(dependents) => {
                for dependent in dependents {
                    let found = lock(&self.graph).get(&dependent).cloned();
                    if let Some(found) = found {
                        self.drop_owners(&found, &dependent, &[uid.to_owned()]).await?;
                    }
                }
                self.drop_finalizer(object, uid, "orphan").await
            }
            Step::Delete(policy, circle) => {
                for dependent in circle {
                    let found = lock(&self.graph).get(&dependent).cloned();
                    if let Some(found) = found {
                        self.drop_owners(&found, &dependent, &[uid.to_owned()]).await?;
                    }
                }
                self.delete(object, uid, policy).await
            }
        }
    }

    fn request(&self, object: &Object) -> Request {
        Request::new(self.kinds[object.kind].path(&object.key.namespace))
    }

    /// Asks the API for an owner that we do not watch, or have not seen yet.
    async fn ask(&self, object: &Object, owner: &graph::OwnerRef) -> Result<OwnerState, Error> {
        let doing = format!("looking for {} {}, owner of {}", owner.kind, owner.name, object.key);
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let kind = self.kinds.iter().find(|kind| kind.group == group && kind.kind == owner.kind);
        // An owner of a kind that is not served is none of our business.
        let Some(kind) = kind else { return Ok(OwnerState::Present) };
        let namespace = if kind.namespaced { object.key.namespace.as_str() } else { "" };
        let request = Request::new(kind.path(namespace)).get_metadata(&owner.name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        match self.client.request::<Metadata>(request).await.map_err(Error::api(doing)) {
            Ok(found) if found.metadata.uid.as_deref() == Some(&owner.uid) => Ok(OwnerState::Present),
            Ok(_) => Ok(OwnerState::Absent),
            Err(error) if error.is_not_found() => Ok(OwnerState::Absent),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, object: &Object, uid: &str, policy: Policy) -> Result<(), Error> {
        let doing = format!("collecting {} {}", self.kinds[object.kind].kind, object.key);
        let propagation = match policy {
            Policy::Background => PropagationPolicy::Background,
            Policy::Foreground => PropagationPolicy::Foreground,
            Policy::Orphan => PropagationPolicy::Orphan,
        };
        let parameters = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let request = self.request(object).delete(&object.key.name, &parameters);
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        match self.client.request::<Value>(request).await.map_err(Error::api(doing)) {
            // Another object of that name: the one that was to go is gone.
            Err(error) if error.is_conflict() => Ok(()),
            other => absent_is_fine(other),
        }
    }

    async fn drop_owners(&self, object: &Object, uid: &str, owners: &[String]) -> Result<(), Error> {
        let uids: Vec<&str> = owners.iter().map(String::as_str).collect();
        self.change(object, uid, |meta| {
            let has = meta.owner_references.iter().flatten().any(|owner| uids.contains(&owner.uid.as_str()));
            has.then(|| json!({"ownerReferences": crate::owner::released(meta, &uids)}))
        })
        .await
    }

    async fn drop_finalizer(&self, object: &Object, uid: &str, finalizer: &str) -> Result<(), Error> {
        self.change(object, uid, |meta| {
            let present = meta.finalizers.as_deref().unwrap_or_default();
            let left: Vec<&String> = present.iter().filter(|name| *name != finalizer).collect();
            (left.len() < present.len())
                .then(|| json!({"finalizers": if left.is_empty() { Value::Null } else { json!(left) }}))
        })
        .await
    }

    /// Reads the metadata of an object and patches them, if they did not change in between.
    async fn change(
        &self,
        object: &Object,
        uid: &str,
        change: impl Fn(&ObjectMeta) -> Option<Value>,
    ) -> Result<(), Error> {
        let doing = format!("releasing {} {}", self.kinds[object.kind].kind, object.key);
        let request = self.request(object).get_metadata(&object.key.name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        let current = match self.client.request::<Metadata>(request).await.map_err(Error::api(doing.clone()))
        {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?.metadata,
        };
        let Some(mut metadata) = change(&current).filter(|_| current.uid.as_deref() == Some(uid)) else {
            return Ok(());
        };
        metadata["uid"] = json!(uid);
        metadata["resourceVersion"] = json!(current.resource_version);
        let patch = json!({"metadata": metadata});
        let request =
            self.request(object).patch(&object.key.name, &PatchParams::default(), &Patch::Merge(&patch));
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        absent_is_fine(self.client.request::<Value>(request).await.map_err(Error::api(doing)))
    }
}
