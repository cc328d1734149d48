//! The handshakes of exec and portforward, and what the node is asked then.

use crate::socket::{HANDSHAKE, cluster};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A node that says first what it was asked and then echoes; `ports=1` fails.
async fn tell(request: http::Request<Incoming>) -> http::Response<UnsyncBoxBody<Bytes, hyper::Error>> {
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    let asked = format!(
        "{} {} {} {}.",
        request.method(),
        request.uri().path_and_query().unwrap(),
        header("x-sealane-upgrade"),
        header("x-sealane-subprotocol")
    );
    let first = Full::from(asked).map_err(|never| match never {});
    if request.uri().query() == Some("ports=1") {
        let status = r#"{"kind": "Status", "message": "the sandbox is not running"}"#;
        let body = Full::from(status).map_err(|never| match never {}).boxed_unsync();
        return http::Response::builder().status(404).body(body).unwrap();
    }
    let parts = futures::StreamExt::chain(
        http_body_util::BodyStream::new(first),
        http_body_util::BodyStream::new(request.into_body()),
    );
    http::Response::new(http_body_util::StreamBody::new(parts).boxed_unsync())
}

const SPDY: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";

#[tokio::test]
async fn what_the_client_speaks_is_told_to_the_node() {
    let c = cluster().await;
    c.pod().await;
    c.node_with(tell).await;
    let tunnelled = HANDSHAKE.replace("v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io");
    let v4 = format!("{SPDY}X-Stream-Protocol-Version: v4.channel.k8s.io\r\n");
    let forward = format!("{SPDY}X-Stream-Protocol-Version: portforward.k8s.io\r\n");
    for (method, path, headers, answered, asked) in [
        (
            "POST",
            "exec?command=a&stdin=true&container=c",
            &v4,
            "x-stream-protocol-version: v4.channel.k8s.io",
            "POST /exec/default/p/c?command=a&stdin=true spdy v4.channel.k8s.io.",
        ),
        (
            "POST",
            "portforward",
            &forward,
            "upgrade: spdy/3.1",
            "POST /portForward/default/p spdy portforward.k8s.io.",
        ),
        (
            "GET",
            "portforward",
            &tunnelled,
            "sec-websocket-protocol: spdy/3.1+portforward.k8s.io",
            "POST /portForward/default/p websocket SPDY/3.1+portforward.k8s.io.",
        ),
        (
            "GET",
            "portforward?ports=80,81",
            &HANDSHAKE.to_owned(),
            "sec-websocket-protocol: v4.channel.k8s.io",
            "POST /portForward/default/p?ports=80%2C81 websocket v4.channel.k8s.io.",
        ),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/p/{path}");
        let (mut stream, head) = c.ask("admin", method, &path, headers).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.to_lowercase().contains(answered), "{head}");
        stream.write_all(b"bytes").await.unwrap();
        let mut back = vec![0; asked.len() + 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&back), format!("{asked}bytes"));
    }
}

#[tokio::test]
async fn a_handshake_that_cannot_be_answered_is_an_error() {
    let c = cluster().await;
    c.pod().await;
    c.node_with(tell).await;
    let old = format!("{SPDY}X-Stream-Protocol-Version: channel.k8s.io\r\n");
    for (user, path, headers, code) in [
        ("admin", "portforward", "", 400),
        ("admin", "exec?command=a", &*old, 403),
        ("admin", "exec?command=a", SPDY, 403),
        // The node's own error.
        ("admin", "portforward?ports=1", HANDSHAKE, 404),
        ("admin", "portforward/more", SPDY, 404),
        ("jane", "portforward", SPDY, 403),
    ] {
        let path = format!("/api/v1/namespaces/default/pods/p/{path}");
        let (_, head) = c.ask(user, "GET", &path, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{user} {path}: {head}");
    }
}
