//! `run` against an API that is a function: lists, watches, a failure, an expired watch.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use kube::client::Body;
use sealane_model::Snapshot;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

type ResponseBody = BoxBody<Bytes, Infallible>;

/// What the API has; a sender ends or feeds the running watch of Services.
#[derive(Default)]
struct Api {
    services: Vec<Value>,
    lists: usize,
    fail_next_list: bool,
    watch: Option<mpsc::UnboundedSender<Value>>,
}

fn service(name: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": name, "resourceVersion": "5", "uid": name},
           "spec": {"clusterIP": "10.96.0.1"}})
}

fn json_body(status: u16, value: &Value) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(value.to_string())).boxed();
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn answer(api: &Mutex<Api>, request: &Request<Body>) -> Response<ResponseBody> {
    let path = request.uri().path().to_string();
    let services = path.ends_with("/services");
    let mut api = api.lock().unwrap();
    if request.uri().query().unwrap_or_default().contains("watch=true") {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Value>();
        if services {
            api.watch = Some(sender);
        } else {
            std::mem::forget(sender);
        }
        let frames = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        let frames = futures::StreamExt::map(frames, |value| {
            Ok(http_body::Frame::data(Bytes::from(format!("{value}\n"))))
        });
        return Response::new(StreamBody::new(frames).boxed());
    }
    if services {
        api.lists += 1;
        if std::mem::take(&mut api.fail_next_list) {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503, "reason": "x", "message": "x"});
            return json_body(503, &status);
        }
    }
    let items = if services { api.services.clone() } else { vec![] };
    json_body(
        200,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": items}),
    )
}

async fn until(snapshots: &mut watch::Receiver<Arc<Snapshot>>, names: &[&str]) -> Arc<Snapshot> {
    let is = |snapshot: &Arc<Snapshot>| {
        snapshot.complete && snapshot.services.keys().map(|key| &*key.name).eq(names.iter().copied())
    };
    let found = tokio::time::timeout(Duration::from_secs(20), snapshots.wait_for(is)).await;
    found.expect("the snapshot in time").unwrap().clone()
}

#[tokio::test]
async fn lists_watches_and_recovers() {
    let api = Arc::new(Mutex::new(Api {
        services: vec![service("a"), service("b")],
        fail_next_list: true,
        ..Api::default()
    }));
    let served = api.clone();
    let client = kube::Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let response = answer(&served, &request);
            async move { Ok::<_, Infallible>(response) }
        }),
        "default",
    );
    let (sender, mut snapshots) = watch::channel(Arc::<Snapshot>::default());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(sealane_edge::run(client, sender, shutdown.clone()));

    let first = until(&mut snapshots, &["a", "b"]).await;
    assert_eq!(api.lock().unwrap().lists, 2, "the first list failed and was tried again");
    let send = |event: Value| api.lock().unwrap().watch.as_ref().unwrap().send(event).unwrap();
    while api.lock().unwrap().watch.is_none() {
        tokio::task::yield_now().await;
    }
    send(json!({"type": "ADDED", "object": service("c")}));
    let second = until(&mut snapshots, &["a", "b", "c"]).await;
    assert!(first.services.iter().all(|(name, view)| Arc::ptr_eq(view, &second.services[name])));
    send(json!({"type": "DELETED", "object": service("b")}));
    until(&mut snapshots, &["a", "c"]).await;

    api.lock().unwrap().services = vec![service("c"), service("d")];
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    send(json!({"type": "ERROR", "object": gone}));
    let relisted = until(&mut snapshots, &["c", "d"]).await;
    let c = |snapshot: &Snapshot| {
        snapshot.services.values().find(|view| &*view.name.name == "c").unwrap().clone()
    };
    assert!(Arc::ptr_eq(&c(&relisted), &c(&second)), "a relist keeps what did not change");

    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("an end").unwrap();
}
