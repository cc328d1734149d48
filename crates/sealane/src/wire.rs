//! The wire: a bridge in a network namespace of its own that joins the nodes' namespaces, and threads that live in one.
//!
//! The host keeps its links and routes: what must cross does so through sockets made in the other namespace.

use crate::cluster::Cluster;
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::{BridgeLink, VethLink};
use nlink::netlink::namespace::{create_path, delete_path};
use nlink::netlink::route::Ipv4Route;
use nlink::{Connection, Route};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Why the wire could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("cannot {doing}")]
    Netlink {
        doing: String,
        #[source]
        source: nlink::Error,
    },
    #[error("cannot {doing}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

pub(crate) trait Doing<T> {
    fn doing(self, text: impl Into<String>) -> Result<T, WireError>;
}

impl<T> Doing<T> for Result<T, nlink::Error> {
    fn doing(self, text: impl Into<String>) -> Result<T, WireError> {
        self.map_err(|source| WireError::Netlink { doing: text.into(), source })
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, text: impl Into<String>) -> Result<T, WireError> {
        self.map_err(|source| WireError::Io { doing: text.into(), source })
    }
}

const BRIDGE: &str = "br0";

/// Makes what is missing of the wire and of every node's link to it.
pub(crate) async fn ensure(cluster: &Cluster) -> Result<(), WireError> {
    let paths = cluster.paths();
    std::fs::create_dir_all(paths.run.join("netns")).doing("make the directory of namespaces")?;
    let wire = paths.netns("wire");
    if pin(&wire)? {
        let links = in_namespace(&wire)?;
        links.set_link_up("lo").await.doing("raise lo on the wire")?;
        links.add_link(BridgeLink::new(BRIDGE)).await.doing("make the wire's bridge")?;
        let address = Ipv4Address::new(BRIDGE, cluster.addresses().wire, cluster.node_cidr.prefix);
        links.add_address(address).await.doing("give the wire its address")?;
        links.set_link_up(BRIDGE).await.doing("raise the wire's bridge")?;
        // Pods reach the API and, under --egress nat, the outside through the wire.
        in_thread(&wire, || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?
            .doing("let the wire forward")?;
    }
    for node in cluster.node_names() {
        let address = cluster.node_address(&node).expect("the node range was checked to hold all nodes");
        add_node(cluster, &wire, &node, address).await?;
    }
    Ok(())
}

async fn add_node(cluster: &Cluster, wire: &Path, node: &str, address: Ipv4Addr) -> Result<(), WireError> {
    let namespace = cluster.paths().netns(node);
    if !pin(&namespace)? {
        return Ok(());
    }
    let file = File::open(&namespace).doing(format!("open the namespace of {node}"))?;
    let links = in_namespace(wire)?;
    let veth = VethLink::new(node, "eth0").peer_netns_fd(&file);
    links.add_link(veth).await.doing(format!("make the link of {node}"))?;
    links.set_link_master(node, BRIDGE).await.doing(format!("put {node} on the wire"))?;
    links.set_link_up(node).await.doing(format!("raise the link of {node}"))?;
    let links = in_namespace(&namespace)?;
    links.set_link_up("lo").await.doing(format!("raise lo of {node}"))?;
    let eth0 = Ipv4Address::new("eth0", address, cluster.node_cidr.prefix);
    links.add_address(eth0).await.doing(format!("give {node} its address"))?;
    links.set_link_up("eth0").await.doing(format!("raise eth0 of {node}"))?;
    let default = Ipv4Route::default_route().gateway(cluster.addresses().wire).dev("eth0");
    links.add_route(default).await.doing(format!("give {node} its default route"))
}

/// Takes a node's link down or up: down, the machine is dark.
pub(crate) async fn set_node_link(cluster: &Cluster, node: &str, up: bool) -> Result<(), WireError> {
    let links = in_namespace(&cluster.paths().netns("wire"))?;
    let done = if up { links.set_link_up(node).await } else { links.set_link_down(node).await };
    done.doing(format!("take the link of {node} {}", if up { "up" } else { "down" }))
}

/// Lets the wire reach a node's Pods: the answers of the API to a Pod go this way.
pub(crate) async fn route_pods(
    links: &Connection<Route>,
    range: (Ipv4Addr, u8),
    node: Ipv4Addr,
) -> Result<(), WireError> {
    let route = Ipv4Route::from_addr(range.0, range.1).gateway(node).dev(BRIDGE);
    links.replace_route(route).await.doing(format!("route {}/{} to {node}", range.0, range.1))
}

/// A connection to the links and routes of a pinned namespace.
pub(crate) fn in_namespace(path: &Path) -> Result<Connection<Route>, WireError> {
    Connection::<Route>::new_in(path).doing(format!("enter {}", path.display()))
}

/// Pins a new namespace at `path`; false if one is pinned there.
fn pin(path: &Path) -> Result<bool, WireError> {
    if is_pinned(path) {
        return Ok(false);
    }
    let _ = std::fs::remove_file(path);
    create_path(path).doing(format!("make the namespace {}", path.display()))?;
    Ok(true)
}

/// True if `path` is a pinned namespace, not a plain file that a crash left behind.
pub(crate) fn is_pinned(path: &Path) -> bool {
    const NSFS_MAGIC: i64 = 0x6e73_6673;
    rustix::fs::statfs(path).is_ok_and(|s| s.f_type == NSFS_MAGIC)
}

/// Unpins every namespace of the cluster; with their last process they are gone, and all links with them.
pub(crate) fn remove(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        unpin(&entry.path());
    }
}

/// Unpins one namespace.
pub(crate) fn unpin(path: &Path) {
    let _ = delete_path(path);
    let _ = std::fs::remove_file(path);
}

/// Moves the calling thread into a pinned network namespace.
pub(crate) fn enter(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let kind = rustix::thread::LinkNameSpaceType::Network;
    Ok(rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind))?)
}

/// Runs `work` on a short-lived thread in the namespace.
fn in_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WireError> {
    let owned = path.to_owned();
    let thread = std::thread::spawn(move || enter(&owned).map(|()| work()));
    thread.join().expect("the work does not panic").doing(format!("enter {}", path.display()))
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
            let outcome = enter(&path);
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
