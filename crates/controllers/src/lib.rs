//! The controllers of a cluster: each watches objects and writes others until they agree.
//!
//! Every controller has a pure `plan` and a thin `reconcile` that carries it out. They share one watch and one cache a
//! kind ([`objects`]) and speak to the API only through a [`kube::Client`].
//!
//! Invariants: nothing is planned before every cache is complete; a key is reconciled by one task at a time and always
//! sees its own last write; every reconcile is idempotent; writes are creates, deletes and patches.

mod bootstrap;
mod cluster;
mod config;
mod deployment;
mod discovery;
mod endpoints;
mod endpointslice;
mod error;
mod event_ttl;
mod explain;
mod gc;
mod mirroring;
mod namespace;
mod namespaced_defaults;
mod node;
mod objects;
mod owner;
mod patch;
mod pod;
mod queue;
mod recorder;
mod replicaset;
mod scheduler;
mod selector;
mod service_cidr;
mod service_lb;
mod slices;

pub use config::Config;
pub use error::Error;

use cluster::Cluster;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Pause between tries to reach an API that does not answer yet.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs all controllers until `shutdown`.
///
/// # Errors
/// If the settings contradict themselves. Errors of the API are met with another try.
pub async fn run(config: Config, client: kube::Client, shutdown: CancellationToken) -> Result<(), Error> {
    config.validate()?;
    let kinds = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        kinds = discovered(&client) => kinds,
    };
    let mut tasks = JoinSet::new();
    let (recorder, recording) = recorder::Recorder::new(client.clone(), shutdown.clone());
    tasks.spawn(recording);
    let cluster = Arc::new(Cluster::new(config, client, recorder));
    spawn_simple(&mut tasks, &cluster, &shutdown);
    let namespaces = namespace::Namespaces::new(&cluster);
    tasks.spawn(namespaces.clone().run(cluster.clone(), kinds.clone(), shutdown.clone()));
    let weak = Arc::downgrade(&cluster);
    let on_gone = move |key: &objects::Key| {
        if let Some(cluster) = weak.upgrade() {
            namespaces.object_gone(&cluster, key);
        }
    };
    for work in gc::start(&cluster, kinds, on_gone, &shutdown) {
        tasks.spawn(work);
    }
    // Last: every handler is registered by now, so none misses the first list.
    for watch in cluster.watches(&shutdown) {
        tasks.spawn(watch);
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended");
        }
    }
    Ok(())
}

/// The controllers that need nothing but the caches.
fn spawn_simple(tasks: &mut JoinSet<()>, cluster: &Arc<Cluster>, shutdown: &CancellationToken) {
    tasks.spawn(bootstrap::start(cluster, shutdown.clone()));
    tasks.spawn(namespaced_defaults::start(cluster, shutdown.clone()));
    tasks.spawn(node::ipam::start(cluster, shutdown.clone()));
    tasks.spawn(node::lifecycle::start(cluster, shutdown.clone()));
    tasks.spawn(node::pod_gc::start(cluster, shutdown.clone()));
    tasks.spawn(deployment::start(cluster, shutdown.clone()));
    tasks.spawn(replicaset::start(cluster, shutdown.clone()));
    tasks.spawn(scheduler::start(cluster, shutdown.clone()));
    tasks.spawn(endpointslice::start(cluster, shutdown.clone()));
    tasks.spawn(endpoints::start(cluster, shutdown.clone()));
    tasks.spawn(mirroring::start(cluster, shutdown.clone()));
    tasks.spawn(service_lb::start(cluster, shutdown.clone()));
    tasks.spawn(service_cidr::start(cluster, shutdown.clone()));
    tasks.spawn(explain::start(cluster, shutdown.clone()));
    tasks.spawn(event_ttl::run(cluster.clone(), shutdown.clone()));
}

async fn discovered(client: &kube::Client) -> Vec<discovery::Kind> {
    loop {
        match discovery::discover(client).await {
            Ok(kinds) => return kinds,
            Err(error) => tracing::debug!(%error, "the API does not answer yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
