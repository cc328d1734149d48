//! Findings become Events on their Services, so that `kubectl describe service` tells what is not served and why.

mod notes;

use crate::proxy::Status;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::request::Request;
use notes::{Note, Notes};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who reports, in every Event.
const COMPONENT: &str = "sealane-proxy";
/// How often to look for what could not be said yet, or has to be said again.
const LOOK: Duration = Duration::from_secs(5);

/// Writes Events about the findings of `status` until `shutdown`. Nothing waits for it: what cannot be written now is
/// tried again later.
pub(crate) async fn report(
    client: Client,
    node_name: String,
    mut status: watch::Receiver<Status>,
    shutdown: CancellationToken,
) {
    let mut notes = Notes::default();
    loop {
        let findings = status.borrow_and_update().findings.clone();
        for note in notes.due(&findings, Instant::now()) {
            let written = tokio::select! {
                () = shutdown.cancelled() => return,
                written = write(&client, &node_name, &note) => written,
            };
            if let Err(error) = written {
                tracing::debug!(%error, reason = note.reason, "an Event could not be written");
                notes.failed(&note, Instant::now());
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Creates the Event, or counts it up where it is there already: nodes that find the same share one.
async fn write(client: &Client, node_name: &str, note: &Note) -> Result<(), kube::Error> {
    let path = format!("/api/v1/namespaces/{}/services", note.service.namespace);
    let get = Request::new(path).get(&note.service.name, &kube::api::GetParams::default());
    let service = match client.request::<Value>(get.map_err(kube::Error::BuildRequest)?).await {
        // With the Service its Events are of no use.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        got => got?,
    };
    let events = Request::new(format!("/api/v1/namespaces/{}/events", note.service.namespace));
    let event = event(note, &service, node_name, Timestamp::now());
    if note.count == 1 {
        let body = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        let create = events.create(&PostParams::default(), body).map_err(kube::Error::BuildRequest)?;
        match client.request::<Value>(create).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            done => return done.map(drop),
        }
    }
    let again = json!({"lastTimestamp": event["lastTimestamp"], "count": note.count});
    let name = event["metadata"]["name"].as_str().unwrap_or_default();
    let patch = events.patch(name, &PatchParams::default(), &Patch::Merge(&again));
    match client.request::<Value>(patch.map_err(kube::Error::BuildRequest)?).await {
        // It has expired meanwhile: the next time it is a new one.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done.map(drop),
    }
}

/// An Event of core/v1. Its name follows from what it says.
fn event(note: &Note, service: &Value, node_name: &str, now: Timestamp) -> Value {
    let (namespace, name) = (&*note.service.namespace, &*note.service.name);
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{name}.{:016x}", note.hash()), "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name,
            "uid": service["metadata"]["uid"],
        },
        "type": if note.warning { "Warning" } else { "Normal" },
        "reason": note.reason,
        "message": note.message,
        "count": note.count,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT, "host": node_name},
        "reportingComponent": COMPONENT,
        "reportingInstance": node_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Finding;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use kube::client::Body;
    use sealane_model::ServiceName;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    /// What an API was asked: method, last part of the path, body.
    type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

    /// An API that has the Service `web` and takes Events; one that is there already is a conflict.
    fn client(asked: &Asked) -> Client {
        let asked = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let asked = asked.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
                let last = path.rsplit('/').next().unwrap_or_default().to_owned();
                let mut asked = asked.lock().unwrap();
                let there = asked.iter().any(|(m, _, b)| m == "POST" && b["metadata"] == body["metadata"]);
                let (code, answer) = match (method.as_str(), last.as_str()) {
                    ("GET", "web") => (200, json!({"metadata": {"name": "web", "uid": "u-1"}})),
                    ("GET", _) => (
                        404,
                        json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "x"}),
                    ),
                    ("POST", _) if there => (
                        409,
                        json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "AlreadyExists", "message": "x"}),
                    ),
                    _ => (200, body.clone()),
                };
                asked.push((method, last, body));
                let body = Full::new(bytes::Bytes::from(answer.to_string()));
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn finding(name: &str) -> Finding {
        let service = ServiceName { namespace: "prod".into(), name: name.into() };
        Finding {
            service,
            reason: "AddressTaken",
            message: "node port 30001/Tcp is served for prod/other".into(),
        }
    }

    async fn until(asked: &Asked, enough: impl Fn(&[(String, String, Value)]) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !enough(&asked.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(waited.await.is_ok(), "{:?}", asked.lock().unwrap());
    }

    #[tokio::test]
    async fn findings_become_events_that_nodes_share() {
        let (asked, shutdown) = (Asked::default(), CancellationToken::new());
        let status = watch::Sender::new(Status::default());
        let start = |node: &str| {
            tokio::spawn(report(client(&asked), node.into(), status.subscribe(), shutdown.clone()))
        };
        let findings = vec![finding("gone"), finding("web")];
        let first = start("node-1");
        status.send_replace(Status { findings, ..Status::default() });
        until(&asked, |asked| asked.iter().any(|(method, ..)| method == "POST")).await;
        let created = asked.lock().unwrap().iter().find(|(method, ..)| method == "POST").unwrap().2.clone();
        assert_eq!(created["type"], "Warning");
        assert_eq!(created["reason"], "AddressTaken");
        assert_eq!(created["involvedObject"]["uid"], "u-1", "kubectl describe looks for it");
        assert_eq!(created["reportingComponent"], "sealane-proxy");
        assert_eq!((&created["count"], &created["source"]["host"]), (&json!(1), &json!("node-1")));

        let second = start("node-2");
        until(&asked, |asked| asked.iter().any(|(method, ..)| method == "PATCH")).await;
        let patched = asked.lock().unwrap().iter().find(|(method, ..)| method == "PATCH").unwrap().clone();
        assert_eq!(json!(patched.1), created["metadata"]["name"], "the other node says it of the same Event");

        status.send_replace(Status::default());
        until(&asked, |asked| asked.iter().any(|(.., body)| body["reason"] == "Resolved")).await;
        assert!(
            asked.lock().unwrap().iter().all(|(.., body)| body["involvedObject"]["name"] != "gone"),
            "a Service that is gone has no Events"
        );
        shutdown.cancel();
        first.await.unwrap();
        second.await.unwrap();
    }
}
