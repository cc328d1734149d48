//! `GET /sealane/v1/explain`: what only the node knows for certain, for `sealane explain`. It changes nothing.
//!
//! ```json
//! {"pods": [{"uid": "…", "listeners": [{"protocol": "TCP", "address": "0.0.0.0", "port": 8080}]}], "proxy": {…}}
//! ```
//!
//! `pods` has every Pod that runs, by uid, with the sockets in its network namespace that take connections or datagrams
//! from anybody; an empty list means that it listens nowhere, a Pod that is missing that nothing is known. A Pod on the
//! node's network has all of the node's: which of them are its own the kernel's tables do not say. The members beside
//! `pods` are those of [`crate::Components`].

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::Response;
use sealane_netlink::namespace;
use serde::Serialize;

use self::table::{Listener, Protocol, listeners};
use super::Body;
use super::answer::{self, Failure};
use crate::agent::context::Context;
use crate::runtime::{ContainerState, SandboxStatus};

/// Which tables there are. Those of IPv6 are missing in a kernel without it.
const TABLES: [(Protocol, &str); 4] =
    [(Protocol::Tcp, "tcp"), (Protocol::Tcp, "tcp6"), (Protocol::Udp, "udp"), (Protocol::Udp, "udp6")];

/// A Pod that runs, and where it listens.
#[derive(Debug, Serialize)]
struct PodListeners {
    uid: String,
    /// By protocol, port and address.
    listeners: BTreeSet<Listener>,
}

/// Answers the request.
pub(super) async fn serve(context: &Context) -> Result<Response<Body>, Failure> {
    let mut said = context.config.components.say();
    said.insert("pods".into(), serde_json::json!(pods(context).await?));
    Ok(answer::json(&said.into()))
}

async fn pods(context: &Context) -> Result<Vec<PodListeners>, Failure> {
    let before = running(context).await?;
    let looked = tokio::task::spawn_blocking(move || before.into_iter().map(look).collect::<Vec<_>>());
    let looked = looked.await.map_err(|error| Failure::internal(format!("reading sockets: {error}")))?;
    // A Pod that ended meanwhile may have been looked at without its process.
    let after = running(context).await?;
    let found = looked.into_iter().filter(|(uid, _)| after.contains_key(uid));
    Ok(found.filter_map(|(uid, found)| Some(PodListeners { uid, listeners: found? })).collect())
}

/// The Pods with a process, and their network namespaces; none is the node's.
async fn running(context: &Context) -> Result<BTreeMap<String, Option<PathBuf>>, Failure> {
    let all = context.runtime.list().await;
    let all = all.map_err(|error| Failure::internal(format!("listing containers: {error}")))?;
    let runs = |pod: &SandboxStatus| {
        pod.running && pod.containers.iter().any(|container| container.state == ContainerState::Running)
    };
    Ok(all.into_iter().filter(runs).map(|pod| (pod.config.uid, pod.config.netns)).collect())
}

/// What listens in one Pod; none if that cannot be read, as when its namespace was just removed.
fn look((uid, netns): (String, Option<PathBuf>)) -> (String, Option<BTreeSet<Listener>>) {
    // By the pinned namespace rather than by a process: its number may be another's by now.
    let read = match netns {
        Some(netns) => namespace::run(&netns, read).flatten(),
        None => read(),
    };
    if let Err(error) = &read {
        tracing::debug!(uid, %error, "cannot read a Pod's sockets");
    }
    (uid, read.ok())
}

/// What listens in the network namespace of the calling thread.
fn read() -> std::io::Result<BTreeSet<Listener>> {
    let mut found = BTreeSet::new();
    for (protocol, name) in TABLES {
        match std::fs::read_to_string(Path::new("/proc/thread-self/net").join(name)) {
            Ok(table) => found.extend(listeners(protocol, &table)),
            Err(error) if name.ends_with('6') && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
