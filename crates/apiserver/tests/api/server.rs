//! A server to ask, and how to ask it.

use futures::StreamExt as _;
use http::Request;
use http_body_util::BodyExt as _;
use sealane_apiserver::{ApiServer, Config};
use sealane_storage::MemoryStore;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A cluster's API with an administrator's client.
pub(crate) struct Server {
    pub(crate) api: Arc<ApiServer>,
    pub(crate) admin: kube::Client,
    pub(crate) store: Arc<MemoryStore>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

pub(crate) fn config() -> Config {
    Config {
        service_cidrs: vec![("10.96.0.0".parse().unwrap(), 16)],
        node_ports: 30000..=32767,
        advertise: "10.123.0.1:6443".parse().unwrap(),
        cluster_domain: "cluster.local".into(),
        issuer: "https://kubernetes.default.svc.cluster.local".into(),
        token_key_pkcs8: token_key(),
        ca_pem: String::new(),
        kubernetes_version: "v1.33.0".into(),
    }
}

fn token_key() -> Vec<u8> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = ring::rand::SystemRandom::new();
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref().to_vec()
}

/// A bootstrapped server.
pub(crate) async fn server() -> Server {
    let store = Arc::new(MemoryStore::new());
    let api = ApiServer::new(config(), store.clone());
    api.bootstrap().await.unwrap();
    let admin = api.client("admin", &["system:masters"]);
    let server = Server { api, admin, store };
    // as the service-account controller does
    server
        .make(
            "/api/v1/namespaces/default/serviceaccounts",
            &serde_json::json!({"metadata": {"name": "default"}}),
        )
        .await;
    server
}

/// Sends a request as a client.
pub(crate) async fn send(client: &kube::Client, request: Request<Vec<u8>>) -> Answer {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, kube::client::Body::from(body));
    let response = client.send(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { code: parts.status.as_u16(), headers: parts.headers, text, json }
}

impl Server {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(path, "application/json").await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path).header("accept", accept).body(Vec::new()).unwrap();
        send(&self.admin, request).await
    }

    pub(crate) async fn write(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        send(&self.admin, request.body(body.to_string().into_bytes()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.write("POST", path, "application/json", body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.write("PUT", path, "application/json", body).await
    }

    pub(crate) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.write("PATCH", path, "application/merge-patch+json", body).await
    }

    pub(crate) async fn delete(&self, path: &str, body: &Value) -> Answer {
        self.write("DELETE", path, "application/json", body).await
    }

    /// Creates and returns the object.
    pub(crate) async fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.code, 201, "POST {path}: {}", answer.text);
        answer.json
    }

    /// A running watch.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        self.watch_as(path, "application/json").await
    }

    pub(crate) async fn watch_as(&self, path: &str, accept: &str) -> Events {
        let request = Request::get(path).header("accept", accept).body(kube::client::Body::empty()).unwrap();
        let response = self.admin.send(request).await.unwrap();
        assert_eq!(response.status(), 200, "GET {path}");
        Events { body: response.into_body().into_data_stream().boxed(), rest: Vec::new() }
    }
}

/// The events of a watch.
pub(crate) struct Events {
    body: futures::stream::BoxStream<'static, Result<bytes::Bytes, kube::Error>>,
    rest: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
            match chunk.expect("an event comes in time") {
                Some(chunk) => self.rest.extend_from_slice(&chunk.unwrap()),
                None => return None,
            }
        }
    }

    /// The next event as `ADDED name`.
    pub(crate) async fn next_name(&mut self) -> String {
        let event = self.next().await.expect("the watch goes on");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
        format!("{} {name}", event["type"].as_str().unwrap_or_default())
    }
}
