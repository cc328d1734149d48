//! Putting the node together.

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{Config as WatchConfig, Event, watcher};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::context::Context;
use crate::agent::events::{Recorder, Severity};
use crate::agent::{self, ResolvConf, Tokens};
use crate::backoff::backed_off;
use crate::config::Config;
use crate::podnet::{self, Cidr, NodeRoute, PodNet};
use crate::registration::{self, Beat, Facts};
use crate::runtime::images::{ImageError, ImageStore, Pulls};
use crate::runtime::{Embedded, EmbeddedConfig, Runtime, RuntimeError};
use crate::tunnel::{self, Directory};

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory cannot be made.
    #[error("cannot make {path}: {source}")]
    Directory {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The image store cannot be opened.
    #[error("cannot open the image store: {0}")]
    Images(#[from] ImageError),
    /// The container runtime does not work.
    #[error("the container runtime does not work: {0}")]
    Runtime(#[from] RuntimeError),
    /// The Pod network cannot be set up.
    #[error("cannot set up the Pod network: {0}")]
    Network(#[from] podnet::Error),
}

/// Runs a node on the container runtime that is built in, until `shutdown`. The calling process must be in the node's
/// network namespace already. Pods' containers go on when it returns.
///
/// # Errors
/// When the machine lacks something that no waiting would bring.
pub async fn run(config: Config, client: kube::Client, shutdown: CancellationToken) -> Result<(), Error> {
    let runtime = embedded(&config).await?;
    run_with(config, client, runtime, shutdown).await
}

async fn embedded(config: &Config) -> Result<Arc<dyn Runtime>, Error> {
    let embedded = Embedded::new(EmbeddedConfig {
        pods_dir: config.data_dir.join("pods"),
        shim_command: config.shim_command.clone(),
        cluster: config.cluster.clone(),
    });
    Ok(Arc::new(embedded.await?))
}

/// As [`run`], with another container runtime.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    client: kube::Client,
    runtime: Arc<dyn Runtime>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    make_directories(&config)?;
    let images = ImageStore::open(&config.images_dir)?;
    let facts = Facts::gather(&config);
    let recorder = Recorder::start(client.clone(), &config.node_name);
    recorder.node(&config.node_name, Severity::Normal, "Starting", "Starting kubelet.");
    let services = watch_services(client.clone(), &shutdown);
    let (beats, beat) = watch::channel(Beat::default());
    let mut nodes = Nodes::start(&config, client.clone(), &shutdown);
    // A node that comes back has its range already: then it need not say that it is not ready.
    let mut network = match nodes.known_range().await {
        Some(range) => Some(open_network(&config, range, &beats).await?),
        None => None,
    };
    let heart = registration::run(config.clone(), facts.clone(), client.clone(), beat, shutdown.clone());
    let _heart = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(heart));
    if network.is_none() {
        let range = shutdown.run_until_cancelled(nodes.range()).await;
        let Some(range) = range else { return Ok(()) };
        network = Some(open_network(&config, range, &beats).await?);
    }
    let Some(network) = network else { return Ok(()) };
    let context = Arc::new(Context {
        host_resolv: host_resolv(&config),
        allocatable: facts.allocatable(),
        tokens: Tokens::default(),
        directory: Directory::default(),
        pulls: Pulls::new(&config.pull_socket),
        config,
        client,
        runtime,
        images,
        network: network.clone(),
        recorder,
        services,
    });
    let routes = nodes.keep_routes(network);
    tokio::select! {
        result = agent::run(context.clone(), shutdown.clone()) => result?,
        () = tunnel::run(context, shutdown.clone()) => {}
        () = routes => {}
    }
    Ok(())
}

fn make_directories(config: &Config) -> Result<(), Error> {
    for dir in [&config.run_dir, &config.data_dir] {
        std::fs::create_dir_all(dir).map_err(|source| Error::Directory { path: dir.clone(), source })?;
    }
    Ok(())
}

async fn open_network(config: &Config, range: Cidr, beats: &watch::Sender<Beat>) -> Result<PodNet, Error> {
    let network = PodNet::open(&config.run_dir, range).await?;
    beats.send_replace(Beat { network_ready: true });
    Ok(network)
}

/// What the node's own resolver asks; nothing beyond the cluster if Pods may not reach beyond it.
fn host_resolv(config: &Config) -> ResolvConf {
    if !config.egress {
        return ResolvConf::default();
    }
    std::fs::read_to_string(&config.host_resolv_conf).map(|t| ResolvConf::parse(&t)).unwrap_or_default()
}

/// All Services, for environment variables.
fn watch_services(client: kube::Client, shutdown: &CancellationToken) -> Store<Service> {
    let (store, writer) = reflector::store();
    let services = watcher(Api::all(client), WatchConfig::default());
    let stream = backed_off(reflector::reflector(writer, services));
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = shutdown.run_until_cancelled(stream.next()).await.flatten() {
            if let Err(error) = event {
                tracing::debug!(%error, "the watch of Services is interrupted");
            }
        }
    });
    store
}

/// The nodes of the cluster, as far as this one's network needs them.
struct Nodes {
    seen: watch::Receiver<Option<View>>,
    name: String,
}

/// Pod ranges and addresses by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct View {
    nodes: std::collections::BTreeMap<String, (Option<Cidr>, Option<std::net::Ipv4Addr>)>,
}

impl View {
    fn set(&mut self, node: &Node) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let range = node.spec.as_ref().and_then(|s| s.pod_cidr.as_deref()).and_then(|c| c.parse().ok());
        let addresses = node.status.iter().flat_map(|s| s.addresses.iter().flatten());
        let internal = addresses.filter(|a| a.type_ == "InternalIP").find_map(|a| a.address.parse().ok());
        self.nodes.insert(name, (range, internal));
    }

    fn routes(&self, own: &str) -> Vec<NodeRoute> {
        let others = self.nodes.iter().filter(|(name, _)| *name != own);
        others.filter_map(|(_, (range, via))| Some(NodeRoute { pods: (*range)?, via: (*via)? })).collect()
    }
}

impl Nodes {
    fn start(config: &Config, client: kube::Client, shutdown: &CancellationToken) -> Self {
        let (sender, seen) = watch::channel(None);
        let events = backed_off(watcher(Api::<Node>::all(client), WatchConfig::default()));
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            let (mut view, mut complete) = (View::default(), false);
            while let Some(event) = shutdown.run_until_cancelled(events.next()).await.flatten() {
                match event {
                    Ok(Event::Init) => (view, complete) = (View::default(), false),
                    Ok(Event::InitApply(node) | Event::Apply(node)) => view.set(&node),
                    Ok(Event::Delete(node)) => {
                        view.nodes.remove(node.metadata.name.as_deref().unwrap_or_default());
                    }
                    Ok(Event::InitDone) => complete = true,
                    Err(error) => tracing::debug!(%error, "the watch of Nodes is interrupted"),
                }
                let changed = |seen: &Option<View>| seen.as_ref() != Some(&view);
                if complete && changed(&sender.borrow()) {
                    sender.send_replace(Some(view.clone()));
                }
            }
        });
        Self { seen, name: config.node_name.clone() }
    }

    /// This node's range if its object has one already, once the objects are known.
    async fn known_range(&mut self) -> Option<Cidr> {
        let seen = self.seen.wait_for(Option::is_some).await.ok()?;
        seen.as_ref()?.nodes.get(&self.name)?.0
    }

    /// Waits for this node's range.
    async fn range(&mut self) -> Cidr {
        let name = self.name.clone();
        let own = |view: &Option<View>| view.as_ref().and_then(|v| v.nodes.get(&name)?.0);
        let found = self.seen.wait_for(|view| own(view).is_some()).await.ok().and_then(|view| own(&view));
        match found {
            Some(range) => range,
            // The watch ends at shutdown only, which the caller waits for too.
            None => std::future::pending().await,
        }
    }

    /// Keeps the routes to other nodes as they should be.
    async fn keep_routes(mut self, network: PodNet) {
        loop {
            let wanted =
                self.seen.borrow_and_update().as_ref().map(|v| v.routes(&self.name)).unwrap_or_default();
            let result = network.set_node_routes(&wanted).await;
            let changed = self.seen.changed();
            let ended = match result {
                Ok(()) => changed.await.is_err(),
                Err(error) => {
                    tracing::warn!(%error, "cannot set the routes to other nodes");
                    let pause = std::time::Duration::from_secs(1);
                    tokio::time::timeout(pause, changed).await.is_ok_and(|r| r.is_err())
                }
            };
            if ended {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Removes what a node's agent leaves in the kernel and in `run_dir`, after its Pods' shims have ended: pinned network
/// namespaces (their links go with them) and mounts of volumes. What Pods have on disk stays. Goes on after a failure and returns the first one.
///
/// # Errors
/// When something cannot be unmounted or removed.
pub fn teardown(run_dir: &Path, data_dir: &Path) -> std::io::Result<()> {
    let network = podnet::teardown(run_dir).map_err(std::io::Error::other);
    network.and(agent::tear_down_volumes(run_dir, data_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn routes_lead_to_the_other_nodes_that_have_range_and_address() {
        let mut view = View::default();
        for (name, range, address) in [
            ("node-1", "10.244.0.0/24", "10.123.0.2"),
            ("node-2", "10.244.1.0/24", "10.123.0.3"),
            ("node-3", "", "10.123.0.4"),
            ("node-4", "10.244.3.0/24", ""),
        ] {
            let addresses = if address.is_empty() {
                json!([])
            } else {
                json!([{"type": "InternalIP", "address": address}])
            };
            view.set(
                &serde_json::from_value(json!({
                    "metadata": {"name": name}, "spec": {"podCIDR": range}, "status": {"addresses": addresses},
                }))
                .unwrap(),
            );
        }
        let wanted = NodeRoute { pods: "10.244.1.0/24".parse().unwrap(), via: [10, 123, 0, 3].into() };
        assert_eq!(view.routes("node-1"), [wanted]);
    }
}
