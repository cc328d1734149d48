//! The node's side of the tunnel, as the API server sees it: HTTP/2 over a connection in memory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::io::{ReaderStream, StreamReader};

use super::fake::Fake;
use super::{in_own_namespaces, lab};
use crate::agent::context::Context;
use crate::agent::log_path;
use crate::runtime::{ContainerConfig, Runtime, SandboxConfig};
use crate::tunnel::{Attempt, Known, serve};

pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A context with Pod `shop/web-1` that runs container `web` for the second time, and a connection to it.
pub(super) async fn tunnel(dir: &Path) -> (Arc<Context>, Fake, SendRequest<Body>) {
    let runtime = Fake::new();
    let context = lab::context(dir, runtime.clone()).await;
    runtime.run_sandbox(SandboxConfig { uid: "u".into(), ..Default::default() }).await.unwrap();
    let config = ContainerConfig { name: "web".into(), attempt: 1, ..Default::default() };
    runtime.create_and_start("u", config).await.unwrap();
    let attempt = Attempt { number: Some(1), running: true, waiting: String::new() };
    let new = Attempt { number: None, running: false, waiting: "ContainerCreating".into() };
    let containers = [("web".to_owned(), attempt), ("new".to_owned(), new)].into();
    context
        .directory
        .set("u", Known { namespace: "shop".into(), name: "web-1".into(), containers, ending: false });
    let (near, far) = tokio::io::duplex(64 * 1024);
    let served = context.clone();
    tokio::spawn(async move { serve(TokioIo::new(far), &served).await });
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    tokio::spawn(connection);
    (context, runtime, sender)
}

fn write_log(context: &Context, attempt: u32, text: &str) {
    let path = log_path(&context.directories("u").data, "web", attempt);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for line in text.lines() {
        std::io::Write::write_all(&mut file, format!("2026-01-01T00:00:00Z stdout F {line}\n").as_bytes())
            .unwrap();
    }
}

pub(super) async fn get(
    sender: &mut SendRequest<Body>,
    path: &str,
) -> (u16, http::Response<hyper::body::Incoming>) {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::get(format!("http://node{path}")).body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    (response.status().as_u16(), response)
}

pub(super) async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn logs_by_query() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        write_log(&context, 0, "before");
        write_log(&context, 1, "one\ntwo\nthree");
        for (path, wanted) in [
            ("/containerLogs/shop/web-1/web", (200, "one\ntwo\nthree\n")),
            ("/containerLogs/shop/web-1/web?tailLines=1", (200, "three\n")),
            ("/containerLogs/shop/web-1/web?limitBytes=5", (200, "one\nt")),
            (
                "/containerLogs/shop/web-1/web?tailLines=1&timestamps=true",
                (200, "2026-01-01T00:00:00Z three\n"),
            ),
            ("/containerLogs/shop/web-1/web?previous=true", (200, "before\n")),
        ] {
            let (code, response) = get(&mut sender, path).await;
            assert_eq!((code, text(response).await.as_str()), wanted, "{path}");
        }
        for (path, wanted) in [
            ("/containerLogs/shop/web-1/no", (400, "container no is not valid for pod web-1")),
            ("/containerLogs/shop/web-2/web", (404, "pod \"web-2\" not found on this node")),
            (
                "/containerLogs/shop/web-1/new",
                (400, "container \"new\" in pod \"web-1\" is waiting to start: ContainerCreating"),
            ),
            (
                "/containerLogs/shop/web-1/new?previous=true",
                (400, "previous terminated container \"new\" in pod \"web-1\" not found"),
            ),
            ("/nothing", (404, "the node does not serve GET /nothing")),
        ] {
            let (code, response) = get(&mut sender, path).await;
            let status: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!((code, status["message"].as_str().unwrap()), wanted, "{path}");
            assert_eq!(status["kind"], "Status");
        }
    });
}

#[test]
fn logs_are_followed_until_the_container_ends() {
    in_own_namespaces(async |dir| {
        let (context, runtime, mut sender) = tunnel(&dir).await;
        write_log(&context, 1, "one");
        let (_, response) = get(&mut sender, "/containerLogs/shop/web-1/web?follow=true").await;
        let mut body = response.into_body();
        let mut next =
            async || String::from_utf8(body.frame().await?.unwrap().into_data().unwrap().to_vec()).ok();
        assert_eq!(next().await.as_deref(), Some("one\n"));
        write_log(&context, 1, "two");
        assert_eq!(next().await.as_deref(), Some("two\n"));
        write_log(&context, 1, "last words");
        runtime.end("web", 0);
        assert_eq!(next().await.as_deref(), Some("last words\n"));
        assert_eq!(next().await.unwrap_or_default(), "");
    });
}

/// What a client gets for a command, as (channel, text), and the code of the closing frame.
async fn exec(sender: &mut SendRequest<Body>, query: &str) -> (Vec<(u8, String)>, Option<u16>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let frames = ReaderStream::new(theirs).map(|part| part.map(hyper::body::Frame::data));
    let request = http::Request::post(format!("http://node/exec/shop/web-1/web?{query}"))
        .header("x-sealane-upgrade", "websocket")
        .header("x-sealane-subprotocol", "v5.channel.k8s.io")
        .body(StreamBody::new(frames).boxed_unsync())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let incoming =
        response.into_body().into_data_stream().map(|part| part.map_err(std::io::Error::other)).boxed();
    let stream = tokio::io::join(StreamReader::new(incoming), ours);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    // The command may have ended already: then nobody reads this, and what it said is read all the same.
    let _ = socket.send(Message::binary(vec![4, b'{', b'}'])).await;
    let mut said = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => {
                said.push((bytes[0], String::from_utf8_lossy(&bytes[1..]).into_owned()))
            }
            Message::Close(frame) => return (said, frame.map(|f| f.code.into())),
            _ => {}
        }
    }
    let _ = socket.get_mut().shutdown().await;
    (said, None)
}

#[test]
fn exec_says_what_the_command_said_and_how_it_ended() {
    in_own_namespaces(async |dir| {
        let (_context, _runtime, mut sender) = tunnel(&dir).await;
        let (said, code) = exec(&mut sender, "command=echo&command=hi+there&stdout=true").await;
        assert_eq!(said[0], (1, "echo hi there".into()));
        assert_eq!(said[1], (3, r#"{"metadata":{},"status":"Success"}"#.into()));
        assert_eq!(code, Some(1000));
        let (said, _) = exec(&mut sender, "command=exit&command=7&stdout=true").await;
        let status: serde_json::Value = serde_json::from_str(&said[1].1).unwrap();
        assert_eq!(status["details"]["causes"][0]["message"], "7");
    });
}

#[test]
fn exec_is_refused_with_a_status() {
    in_own_namespaces(async |dir| {
        let (_context, _runtime, mut sender) = tunnel(&dir).await;
        for (path, protocol, code) in [
            ("/exec/shop/web-1/web", "v5.channel.k8s.io", 400),
            ("/exec/shop/web-1/new?command=x", "v5.channel.k8s.io", 404),
            ("/exec/shop/web-1/web?command=x", "v1.other", 400),
        ] {
            let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let request = http::Request::post(format!("http://node{path}"))
                .header("x-sealane-upgrade", "websocket")
                .header("x-sealane-subprotocol", protocol)
                .body(body)
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status().as_u16(), code, "{path}");
        }
    });
}
