//! The wire: a bridge in a network namespace of its own that joins the nodes' namespaces, and threads that live in one.
//!
//! The host keeps its links and routes: what must cross does so through sockets made in the other namespace.

use crate::cluster::Cluster;
use sealane_netlink::{Netlink, Route, Veth, namespace};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Why the wire could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub(crate) struct WireError {
    doing: String,
    #[source]
    source: io::Error,
}

pub(crate) trait Doing<T> {
    fn doing(self, text: impl Into<String>) -> Result<T, WireError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, text: impl Into<String>) -> Result<T, WireError> {
        self.map_err(|source| WireError { doing: text.into(), source })
    }
}

const BRIDGE: &str = "br0";

/// Makes what is missing of the wire and of every node's link to it.
pub(crate) fn ensure(cluster: &Cluster) -> Result<(), WireError> {
    let paths = cluster.paths();
    std::fs::create_dir_all(paths.run.join("netns")).doing("make the directory of namespaces")?;
    let wire = paths.netns("wire");
    if pin(&wire)? {
        let mut links = in_namespace(&wire)?;
        links.set_up("lo", true).doing("raise lo on the wire")?;
        links.add_bridge(BRIDGE).doing("make the wire's bridge")?;
        let address = cluster.addresses().wire.into();
        links.add_address(BRIDGE, address, cluster.node_cidr.prefix).doing("give the wire its address")?;
        links.set_up(BRIDGE, true).doing("raise the wire's bridge")?;
        // Pods reach the API and, under --egress nat, the outside through the wire.
        namespace::run(&wire, || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .and_then(|written| written)
            .doing("let the wire forward")?;
    }
    for node in cluster.node_names() {
        let address = cluster.node_address(&node).expect("the node range was checked to hold all nodes");
        add_node(cluster, &wire, &node, address)?;
    }
    Ok(())
}

fn add_node(cluster: &Cluster, wire: &Path, node: &str, address: Ipv4Addr) -> Result<(), WireError> {
    let namespace = cluster.paths().netns(node);
    if !pin(&namespace)? {
        return Ok(());
    }
    let file = File::open(&namespace).doing(format!("open the namespace of {node}"))?;
    let mut links = in_namespace(wire)?;
    let veth = Veth::new(node, "eth0").into_namespace(file.as_fd());
    links.add_veth(&veth).doing(format!("make the link of {node}"))?;
    links.set_bridge(node, BRIDGE).doing(format!("put {node} on the wire"))?;
    links.set_up(node, true).doing(format!("raise the link of {node}"))?;
    let mut links = in_namespace(&namespace)?;
    links.set_up("lo", true).doing(format!("raise lo of {node}"))?;
    let prefix = cluster.node_cidr.prefix;
    links.add_address("eth0", address.into(), prefix).doing(format!("give {node} its address"))?;
    links.set_up("eth0", true).doing(format!("raise eth0 of {node}"))?;
    let default = Route::default_v4().via(cluster.addresses().wire);
    links.set_route(&default).doing(format!("give {node} its default route"))
}

/// Takes a node's link down or up: down, the machine is dark.
pub(crate) fn set_node_link(cluster: &Cluster, node: &str, up: bool) -> Result<(), WireError> {
    let done = in_namespace(&cluster.paths().netns("wire"))?.set_up(node, up);
    done.doing(format!("take the link of {node} {}", if up { "up" } else { "down" }))
}

/// Whether a node's link is up.
pub(crate) fn is_up(cluster: &Cluster, node: &str) -> Result<bool, WireError> {
    let link = in_namespace(&cluster.paths().netns("wire"))?.link(node);
    Ok(link.doing(format!("look up the link of {node}"))?.is_some_and(|link| link.up))
}

/// Lets the wire reach a node's Pods: the answers of the API to a Pod go this way.
pub(crate) fn route_pods(
    links: &mut Netlink,
    range: (Ipv4Addr, u8),
    node: Ipv4Addr,
) -> Result<(), WireError> {
    let route = Route::new(range.0, range.1).via(node);
    links.set_route(&route).doing(format!("route {}/{} to {node}", range.0, range.1))
}

/// The links and routes of a pinned namespace.
pub(crate) fn in_namespace(path: &Path) -> Result<Netlink, WireError> {
    Netlink::inside(path).doing(format!("enter {}", path.display()))
}

/// Pins a new namespace at `path`; false if one is pinned there.
fn pin(path: &Path) -> Result<bool, WireError> {
    if namespace::is_pinned(path) {
        return Ok(false);
    }
    let _ = std::fs::remove_file(path);
    namespace::pin(path).doing(format!("make the namespace {}", path.display()))?;
    Ok(true)
}

/// Unpins every namespace of the cluster; with their last process they are gone, and all links with them.
pub(crate) fn remove(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        unpin(&entry.path());
    }
}

/// Unpins one namespace.
pub(crate) fn unpin(path: &Path) {
    if let Err(error) = namespace::unpin(path) {
        tracing::warn!(%error, path = %path.display(), "unpinning a namespace");
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// One thread that lives in a namespace and makes sockets there: a socket belongs to the namespace it was made in.
#[derive(Clone)]
pub(crate) struct Residence {
    jobs: std::sync::mpsc::Sender<Job>,
}

impl Residence {
    /// Starts the thread.
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        let (entered, result) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("wire".into()).stack_size(128 << 10).spawn(move || {
            let outcome = namespace::enter(&path);
            let inside = outcome.is_ok();
            let _ = entered.send(outcome);
            if inside {
                queue.into_iter().for_each(|job| job());
            }
        })?;
        result.recv().map_err(io::Error::other)??;
        Ok(Self { jobs })
    }

    /// Runs `work` there and hands back what it made.
    pub(crate) async fn run<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let job = Box::new(move || drop(sender.send(work())));
        self.jobs.send(job).map_err(|_| io::Error::other("the thread of the namespace has ended"))?;
        receiver.await.map_err(io::Error::other)?
    }
}
