//! Over a socket: certificates, anonymous requests, a node's tunnel, logs and exec through it.

use crate::authority::Authority;
use crate::server::{config, server};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

pub(crate) type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// A CA, and a server that trusts it.
pub(crate) struct Cluster {
    authority: Authority,
    address: SocketAddr,
    pub(crate) admin: kube::Client,
    shutdown: CancellationToken,
}

pub(crate) async fn cluster() -> Cluster {
    let authority = Authority::new();
    let tls = authority.server();
    let s = server().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(s.api.clone().serve(listener, Arc::new(tls), shutdown.clone()));
    Cluster { authority, address, admin: s.admin, shutdown }
}

impl Cluster {
    /// A connection as a user; empty: without a certificate.
    pub(crate) async fn connect(&self, name: &str, group: &str) -> Tls {
        let config = self.authority.client(name, group);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn get(&self, name: &str, group: &str, path: &str, token: &str) -> (u16, Bytes) {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect(name, group).await)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::get(path).header("host", "localhost");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    }

    /// A node that echoes: its tunnel stands when this returns.
    async fn node(&self) {
        self.node_with(|request| std::future::ready(echo(request))).await;
    }

    /// A node that answers with `service`.
    pub(crate) async fn node_with<F, R, B>(&self, service: F)
    where
        F: Fn(http::Request<Incoming>) -> R + Send + Sync + Clone + 'static,
        R: Future<Output = http::Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect("system:node:node-1", "system:nodes").await))
                .await
                .unwrap();
        tokio::spawn(connection.with_upgrades());
        let request = http::Request::get("/sealane/v1/tunnel")
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "sealane-tunnel/1");
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 101);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let service = hyper::service::service_fn(move |request| {
            let answer = service(request);
            async { Ok::<_, hyper::Error>(answer.await) }
        });
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(upgraded, service),
        );
    }

    pub(crate) async fn pod(&self) {
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(json!({"metadata": {"name": "p"},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]}}))
        .unwrap();
        kube::Api::default_namespaced(self.admin.clone())
            .create(&kube::api::PostParams::default(), &pod)
            .await
            .unwrap();
    }

    /// Asks for an exec and returns the connection and what came first.
    async fn exec(&self, query: &str, headers: &str) -> (Tls, String) {
        let path = format!("/api/v1/namespaces/default/pods/p/exec?{query}");
        self.ask("admin", "GET", &path, headers).await
    }

    /// Sends the head of a request and returns the connection and the head of the answer.
    pub(crate) async fn ask(&self, user: &str, method: &str, path: &str, headers: &str) -> (Tls, String) {
        let group = if user == "admin" { "system:masters" } else { "people" };
        let mut stream = self.connect(user, group).await;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(answer).unwrap())
    }
}

/// What the node answers: its path for a log, what it hears for an exec, an error for `command=fail`.
fn echo(request: http::Request<Incoming>) -> http::Response<http_body_util::Either<Incoming, Full<Bytes>>> {
    let target = request.uri().path_and_query().unwrap().to_string();
    if target.starts_with("/containerLogs/") {
        return http::Response::new(http_body_util::Either::Right(Full::from(target)));
    }
    if target.contains("command=fail") {
        let status = json!({"kind": "Status", "message": "container not found (\"c\")"}).to_string();
        let response = http::Response::builder().status(404);
        return response.body(http_body_util::Either::Right(Full::from(status))).unwrap();
    }
    assert_eq!(request.headers()["x-sealane-subprotocol"], "v5.channel.k8s.io");
    assert_eq!(target, "/exec/default/p/c?command=a%20b&command=c&stdin=true&stdout=true");
    http::Response::new(http_body_util::Either::Left(request.into_body()))
}

pub(crate) const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n";

#[tokio::test]
async fn who_one_is() {
    let c = cluster().await;
    for (name, group, path, token, code) in [
        ("", "", "/healthz", "", 200),
        ("", "", "/version", "", 200),
        ("", "", "/api", "", 401),
        ("", "", "/api/v1/pods", "", 401),
        ("", "", "/api/v1/pods", "nonsense", 401),
        // a path that means nothing says so to known users only
        ("", "", "/api/v1/namespaces/x/pods/p/exec/y", "", 401),
        ("admin", "system:masters", "/api/v1/namespaces/x/pods/p/exec/y", "", 404),
        ("admin", "system:masters", "/api/v1/pods", "", 200),
        ("jane", "people", "/api/v1/pods", "", 403),
        ("jane", "people", "/apis", "", 200),
        ("jane", "people", "/sealane/v1/tunnel", "", 403),
    ] {
        let (got, body) = c.get(name, group, path, token).await;
        assert_eq!(got, code, "{name} {path}: {body:?}");
    }
    c.shutdown.cancel();
}

#[tokio::test]
async fn a_service_account_asks_with_its_token() {
    let c = cluster().await;
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
        kube::Api::default_namespaced(c.admin.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "bot"}})).unwrap();
    accounts.create(&kube::api::PostParams::default(), &account).await.unwrap();
    let request = serde_json::from_value(json!({"spec": {"audiences": [config().issuer]}})).unwrap();
    let token =
        accounts.create_token_request("bot", &kube::api::PostParams::default(), &request).await.unwrap();
    let token = token.status.unwrap().token;
    assert_eq!(c.get("", "", "/api/v1", &token).await.0, 200);
    let (code, body) = c.get("", "", "/api/v1/namespaces/default/secrets", &token).await;
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(code, 403);
    assert!(
        status["message"].as_str().unwrap().contains("\"system:serviceaccount:default:bot\""),
        "{status}"
    );
}

#[tokio::test]
async fn logs_come_through_the_tunnel() {
    let c = cluster().await;
    c.pod().await;
    c.node().await;
    let (code, body) = c
        .get(
            "admin",
            "system:masters",
            "/api/v1/namespaces/default/pods/p/log?follow=true&container=c&pretty=1",
            "",
        )
        .await;
    assert_eq!((code, &body[..]), (200, &b"/containerLogs/default/p/c?follow=true"[..]));
}

#[tokio::test]
async fn exec_copies_bytes_both_ways() {
    let c = cluster().await;
    c.pod().await;
    c.node().await;
    let (mut stream, answer) =
        c.exec("command=a+b&command=c&stdin=true&stdout=true&container=c", HANDSHAKE).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("sec-websocket-protocol: v5.channel.k8s.io\r\n"), "{answer}");
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    for text in [&b"some bytes"[..], &b"\x00\xff more"[..]] {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    }
}

#[tokio::test]
async fn a_nodes_refusal_comes_on_the_error_channel() {
    let c = cluster().await;
    c.pod().await;
    c.node().await;
    let (mut stream, answer) = c.exec("command=fail", HANDSHAKE).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest[0], 0x82);
    assert!(String::from_utf8_lossy(&rest).contains("container not found"), "{rest:?}");
}
