//! Events are deleted when nothing was added to them for a while.

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Sink, Source, follow};
use crate::queue::{Next, Queue};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, GetParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::core::request::Request;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events that are looked at at the same time.
const AT_ONCE: usize = 4;

type Metadata = PartialObjectMeta<Event>;

/// Watches and works until `shutdown`. Only names are kept, as timers; what an event says is read when its time comes.
pub(crate) async fn run(cluster: Arc<Cluster>, shutdown: CancellationToken) {
    let timers = Timers { queue: Queue::new("event-ttl"), ttl: cluster.config.event_ttl };
    let source = Source { path: "/api/v1/events".to_owned(), metadata_only: true, field_selector: None };
    let watch = follow::<Metadata>(cluster.client.clone(), source, &timers, shutdown.clone());
    let work = timers.queue.run(AT_ONCE, &shutdown, |key| reconcile(&cluster, key));
    futures::join!(watch, work);
}

struct Timers {
    queue: Queue<Key>,
    ttl: Duration,
}

impl Timers {
    fn set(&self, event: &Metadata) {
        let created = event.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let age = Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default();
        self.queue.add_after(Key::of(&event.metadata), self.ttl.saturating_sub(age));
    }
}

impl Sink<Metadata> for Timers {
    fn replace(&self, objects: Vec<Metadata>, _revision: u64) {
        objects.iter().for_each(|event| self.set(event));
    }

    fn apply(&self, object: Metadata) {
        self.set(&object);
    }

    fn delete(&self, _object: Metadata) {}

    fn progress(&self, _revision: u64) {}
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let doing = || Error::api(format!("expiring Event {key}"));
    let path = Request::new(format!("/api/v1/namespaces/{}/events", key.namespace));
    let request = path.get(&key.name, &GetParams::default());
    let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
    let event: Event = match cluster.client.request(request).await.map_err(doing()) {
        Err(error) if error.is_not_found() => return Ok(Next::Wait),
        other => other?,
    };
    if let Some(left) = time_left(&event, cluster.config.event_ttl, Timestamp::now()) {
        return Ok(Next::After(left));
    }
    let preconditions = Preconditions {
        uid: event.metadata.uid.clone(),
        resource_version: event.metadata.resource_version.clone(),
    };
    let request = path
        .delete(&key.name, &DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() });
    let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
    crate::error::absent_is_fine(cluster.client.request::<Value>(request).await.map_err(doing()))?;
    Ok(Next::Wait)
}

/// How long an event lives on; None if it is too old.
fn time_left(event: &Event, ttl: Duration, now: Timestamp) -> Option<Duration> {
    let series =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let times = [
        event.metadata.creation_timestamp.as_ref().map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        series,
    ];
    let last = times.into_iter().flatten().max()?;
    let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    ttl.checked_sub(age).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages() {
        let now = "2026-01-01T02:00:00Z".parse().unwrap();
        let table = [
            (json!({"lastTimestamp": "2026-01-01T01:30:00Z"}), Some(1800)),
            (json!({"lastTimestamp": "2026-01-01T01:00:00Z"}), None),
            (json!({"series": {"lastObservedTime": "2026-01-01T01:59:00.000000Z"}}), Some(3540)),
            (json!({}), None),
        ];
        for (mut event, expected) in table {
            event["metadata"] = json!({"creationTimestamp": "2026-01-01T00:00:00Z"});
            event["involvedObject"] = json!({});
            let parsed: Event = serde_json::from_value(event.clone()).unwrap();
            let left = time_left(&parsed, Duration::from_secs(3600), now);
            assert_eq!(left, expected.map(Duration::from_secs), "{event}");
        }
    }
}
