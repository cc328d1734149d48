//! The loop: four watches in, snapshots out.

use crate::backoff::Doubling;
use crate::index::{Change, Index};
use futures::stream::{BoxStream, select};
use futures::{FutureExt, StreamExt, future};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Client};
use sealane_model::Snapshot;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// So many events become one snapshot at most, so that an endless flow of them cannot hold the snapshot back.
const BATCH: usize = 4_096;

/// Watches Services, EndpointSlices, Nodes and Namespaces and publishes what they add up to, until `shutdown`. The first
/// snapshot comes when all four have listed; failures are retried for ever and change nothing that was published.
pub async fn run(client: Client, snapshots: watch::Sender<Arc<Snapshot>>, shutdown: CancellationToken) {
    let mut changes = select(
        select(
            follow(Api::all(client.clone()), "Services", Change::Service),
            follow(Api::all(client.clone()), "EndpointSlices", Change::Slice),
        ),
        select(
            follow(Api::all(client.clone()), "Nodes", Change::Node),
            follow(Api::all(client), "Namespaces", Change::Namespace),
        ),
    );
    let mut index = Index::new();
    loop {
        let change = tokio::select! {
            () = shutdown.cancelled() => return,
            change = changes.next() => change,
        };
        let Some(change) = change else { return };
        index.apply(change);
        for _ in 1..BATCH {
            let Some(Some(change)) = changes.next().now_or_never() else { break };
            index.apply(change);
        }
        if let Some(snapshot) = index.publish() {
            tracing::debug!(
                services = snapshot.services.len(),
                nodes = snapshot.nodes.len(),
                "a new snapshot"
            );
            snapshots.send_replace(snapshot);
        }
    }
}

/// One watch, for ever.
fn follow<K>(api: Api<K>, what: &'static str, change: fn(Event<K>) -> Change) -> BoxStream<'static, Change>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let events = watcher(api, Config::default()).backoff(Doubling::new()).filter_map(move |event| {
        future::ready(match event {
            Ok(event) => Some(change(event)),
            Err(error) => {
                report(what, &error);
                None
            }
        })
    });
    events.boxed()
}

/// A watch that expired is everyday life; the rest is worth a line.
fn report(what: &str, error: &Error) {
    match error {
        watcher::Error::WatchError(status) if status.code == 410 => {
            tracing::debug!(what, "the watch expired; listing again");
        }
        error => tracing::warn!(what, %error, "watching failed; trying again"),
    }
}
