//! The Pod network of one node: a routed veth pair per Pod, without a bridge.
//!
//! A Pod's network namespace is pinned as a bind-mounted file, so it outlives the agent and needs no pause process. Its
//! `eth0` has one /32; the default route goes through a link-local gateway that no interface owns, with permanent
//! neighbour entries on both sides, so that no ARP is ever spoken. The node has one host route per Pod, and one route
//! per other node to that node's Pod range.
//!
//! Invariants: an address is never given to two Pods; it is free again only after the namespace is gone. The record of
//! a Pod's addresses lies beside the pin and vanishes with it when the machine restarts.

mod ipam;
mod link;
mod netns;
mod routes;
mod sysctl;

pub use ipam::{Cidr, Ipam};
pub use netns::{NetnsRecord, teardown};
pub use routes::{NodeRoute, RouteChange, plan_routes};

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sealane_netlink::{Netlink, namespace};

/// What can go wrong with a Pod's network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node's Pod range has no free address.
    #[error("the node's Pod range {0} has no free address")]
    Exhausted(Cidr),
    /// The node has no Pod range yet.
    #[error("the node has no Pod range yet")]
    NoPodCidr,
    /// The kernel refused a request, or a file operation failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Io { doing, source }
}

/// The network of one Pod, as set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetwork {
    /// The pinned namespace; none for a Pod on the node's own network.
    pub netns: Option<PathBuf>,
    /// The Pod's addresses, the first one its `podIP`.
    pub addresses: Vec<IpAddr>,
}

/// The Pod network of this node. Works on the namespace that the calling thread is in.
#[derive(Debug, Clone)]
pub struct PodNet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `…/netns`: pins and their records.
    pins: PathBuf,
    ipam: Mutex<Ipam>,
    mtu: u32,
}

impl PodNet {
    /// Recovers the addresses in use from the pins under `run_dir`, and makes the node forward packets.
    ///
    /// # Errors
    /// When the directory of pins cannot be made or read, or the node's sysctls cannot be set.
    pub async fn open(run_dir: &Path, pod_cidr: Cidr) -> Result<Self, Error> {
        let pins = run_dir.join("netns");
        std::fs::create_dir_all(&pins).map_err(io(format!("make {}", pins.display())))?;
        let mut ipam = Ipam::new(pod_cidr);
        for record in netns::records(&pins)? {
            for address in &record.addresses {
                ipam.claim(*address, &record.uid);
            }
        }
        sysctl::prepare_node()?;
        let mtu = link::uplink_mtu().unwrap_or(1500);
        Ok(Self { inner: Arc::new(Inner { pins, ipam: Mutex::new(ipam), mtu }) })
    }

    /// Sets up the network of Pod `uid`, or returns the one that it has. Under 30 ms.
    ///
    /// # Errors
    /// When no address is free or the kernel refuses; nothing is left behind then.
    pub async fn setup(&self, uid: &str) -> Result<PodNetwork, Error> {
        if let Some(found) = self.find(uid) {
            return Ok(found);
        }
        // A pin without a record is what a crash half-way left.
        netns::unpin(&self.inner.pins, uid)?;
        let address = self.ipam().allocate(uid)?;
        match self.build(uid, address).await {
            Ok(network) => Ok(network),
            Err(error) => {
                if let Err(second) = self.teardown(uid).await {
                    tracing::warn!(uid, error = %second, "cannot undo a Pod's network");
                }
                Err(error)
            }
        }
    }

    async fn build(&self, uid: &str, address: Ipv4Addr) -> Result<PodNetwork, Error> {
        let (inner, uid) = (self.inner.clone(), uid.to_owned());
        // Creating the first namespace after a pause takes milliseconds: not on a worker.
        let work = tokio::task::spawn_blocking(move || {
            let pin = netns::pin(&inner.pins, &uid)?;
            link::connect(&pin, &link::veth_name(&uid), address, inner.mtu)?;
            let record = NetnsRecord { uid, addresses: vec![IpAddr::V4(address)] };
            netns::write_record(&inner.pins, &record)?;
            Ok(PodNetwork { netns: Some(pin), addresses: record.addresses })
        });
        work.await.unwrap_or_else(|e| Err(io("make a Pod's network")(std::io::Error::other(e))))
    }

    /// The network of Pod `uid`, when it is fully set up.
    #[must_use]
    pub fn find(&self, uid: &str) -> Option<PodNetwork> {
        let record = netns::record(&self.inner.pins, uid)?;
        let pin = netns::pin_path(&self.inner.pins, uid);
        namespace::is_pinned(&pin).then_some(PodNetwork { netns: Some(pin), addresses: record.addresses })
    }

    /// Removes the network of Pod `uid` and frees its addresses last. Idempotent.
    ///
    /// # Errors
    /// When the link or the pin cannot be removed; the address stays taken then.
    pub async fn teardown(&self, uid: &str) -> Result<(), Error> {
        let (inner, pod) = (self.inner.clone(), uid.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            // The link first: the namespace itself may live on in a lazy unmount, its route may not.
            let mut node = Netlink::here().map_err(io("open netlink"))?;
            node.remove_link(&link::veth_name(&pod)).map_err(io(format!("remove the link of Pod {pod}")))?;
            netns::unpin(&inner.pins, &pod)
        });
        work.await.unwrap_or_else(|e| Err(io("remove a Pod's network")(std::io::Error::other(e))))?;
        self.ipam().release(uid);
        Ok(())
    }

    /// The uids of all Pods that have a network here.
    ///
    /// # Errors
    /// When the directory of pins cannot be read.
    pub fn uids(&self) -> Result<Vec<String>, Error> {
        netns::uids(&self.inner.pins)
    }

    /// Makes the routes to the other nodes' Pod ranges exactly `wanted`.
    ///
    /// # Errors
    /// When the kernel refuses a route.
    pub async fn set_node_routes(&self, wanted: &[NodeRoute]) -> Result<(), Error> {
        routes::apply(wanted)
    }

    fn ipam(&self) -> std::sync::MutexGuard<'_, Ipam> {
        self.inner.ipam.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
