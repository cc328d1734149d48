//! Events of core/v1, as `kubectl describe` shows them. Written in the background: no reconcile waits for one.
//!
//! Equal events of an object are one Event with a count, as Kubernetes' correlator does.

use crate::Error;
use crate::objects::Object;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::request::Request;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many events wait at most; more are dropped.
const BACKLOG: usize = 1000;
/// How many distinct events are remembered for counting.
const REMEMBERED: usize = 4096;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

impl Reference {
    pub(crate) fn to<K: Object>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }
}

/// The words of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Note {
    /// A `Warning` rather than `Normal`.
    pub(crate) warning: bool,
    /// Machine-readable: `ScalingReplicaSet`.
    pub(crate) reason: Cow<'static, str>,
    /// For people.
    pub(crate) message: String,
}

impl Note {
    pub(crate) fn normal(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.into(), message: message.into() }
    }

    pub(crate) fn warning(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.into(), message: message.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Item {
    component: &'static str,
    about: Reference,
    note: Note,
}

/// Takes events and returns at once.
#[derive(Clone)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<Item>,
}

impl Recorder {
    /// A recorder and the task that writes what it is told.
    pub(crate) fn new(client: Client, shutdown: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        (Self { sender }, write_all(client, receiver, shutdown))
    }

    /// Records an event of `component` about `object`.
    pub(crate) fn record<K: Object>(&self, component: &'static str, object: &K, note: Note) {
        let item = Item { component, about: Reference::to(object), note };
        if self.sender.try_send(item).is_err() {
            tracing::debug!("an event was dropped: too many are waiting");
        }
    }
}

struct Seen {
    name: String,
    count: u32,
}

async fn write_all(client: Client, mut items: mpsc::Receiver<Item>, shutdown: CancellationToken) {
    let mut seen: HashMap<Item, Seen> = HashMap::new();
    loop {
        let item = tokio::select! {
            () = shutdown.cancelled() => return,
            item = items.recv() => match item { Some(item) => item, None => return },
        };
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        let now = Timestamp::now();
        if let Some(known) = seen.get_mut(&item) {
            known.count += 1;
            match count_up(&client, &item, known, now).await {
                Ok(()) => continue,
                Err(error) => tracing::debug!(%error, "event not counted up"),
            }
        }
        match create(&client, &item, now).await {
            Ok(name) => {
                seen.insert(item, Seen { name, count: 1 });
            }
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => tracing::debug!(%error, "event not recorded"),
        }
    }
}

async fn create(client: &Client, item: &Item, now: Timestamp) -> Result<String, Error> {
    let doing = || Error::api(format!("recording {} of {}", item.note.reason, item.about.name));
    let event = event(item, now, rand::random());
    let name = event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let body = serde_json::to_vec(&event).map_err(Error::json("encoding an event"))?;
    let request = events(item).create(&PostParams::default(), body);
    let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
    client.request::<Value>(request).await.map_err(doing())?;
    Ok(name)
}

async fn count_up(client: &Client, item: &Item, known: &Seen, now: Timestamp) -> Result<(), Error> {
    let doing = || Error::api(format!("counting {} of {}", item.note.reason, item.about.name));
    let patch = json!({"count": known.count, "lastTimestamp": seconds(now)});
    let request = events(item).patch(&known.name, &PatchParams::default(), &Patch::Merge(&patch));
    let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
    client.request::<Value>(request).await.map_err(doing())?;
    Ok(())
}

fn events(item: &Item) -> Request {
    Request::new(format!("/api/v1/namespaces/{}/events", namespace(item)))
}

/// Events of cluster-scoped objects lie in `default`.
fn namespace(item: &Item) -> &str {
    if item.about.namespace.is_empty() { "default" } else { &item.about.namespace }
}

fn event(item: &Item, now: Timestamp, salt: u64) -> Value {
    let about = &item.about;
    let mut involved =
        json!({"apiVersion": about.api_version, "kind": about.kind, "name": about.name, "uid": about.uid});
    if !about.namespace.is_empty() {
        involved["namespace"] = json!(about.namespace);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{salt:016x}", about.name), "namespace": namespace(item)},
        "involvedObject": involved,
        "reason": item.note.reason,
        "message": item.note.message,
        "type": if item.note.warning { "Warning" } else { "Normal" },
        "count": 1,
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "source": {"component": item.component},
        "reportingComponent": item.component,
        "reportingInstance": "",
    })
}

/// A time as `metav1.Time` writes it: in seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Node;
    use kube::core::ObjectMeta;

    #[test]
    fn events_of_cluster_scoped_objects_lie_in_default() {
        let metadata =
            ObjectMeta { name: Some("node-1".into()), uid: Some("u".into()), ..ObjectMeta::default() };
        let node = Node { metadata, ..Node::default() };
        let note = Note::warning("NodeNotReady", "silent");
        let item = Item { component: "node-controller", about: Reference::to(&node), note };
        let event = event(&item, Timestamp::UNIX_EPOCH, 0xab);
        assert_eq!(event["metadata"]["name"], "node-1.00000000000000ab");
        assert_eq!(event["metadata"]["namespace"], "default");
        assert_eq!(
            event["involvedObject"],
            json!({"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u"})
        );
        assert_eq!(event["firstTimestamp"], "1970-01-01T00:00:00Z");
    }
}
