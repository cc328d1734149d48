//! A Pod's streams: `log`, `exec`, `attach`. The server finds the container and its node, shakes the client's hand and
//! copies bytes; the node speaks the protocol within.
//!
//! exec and attach are websockets, `v5.channel.k8s.io` or `v4.channel.k8s.io` (KEP-4006). SPDY is not served.

use crate::ApiServer;
use crate::http::answer::{self, BoxError};
use crate::http::{Body, Query, Request, Response};
use crate::kinds::Subresource;
use crate::registry::Location;
use crate::status::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// The subprotocols that nodes speak, the best first.
const SUBPROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The header that tells the node which one was chosen.
const SUBPROTOCOL_HEADER: &str = "x-sealane-subprotocol";
/// The channel on which an exec's final Status comes.
const ERROR_CHANNEL: u8 = 3;
/// The parameters of a log that the node understands.
const LOG_PARAMETERS: &[&str] =
    &["follow", "tailLines", "previous", "timestamps", "sinceSeconds", "sinceTime", "limitBytes", "stream"];
/// The parameters of exec and attach.
const RUN_PARAMETERS: &[&str] = &["command", "stdin", "stdout", "stderr", "tty"];

/// A container and where it runs.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    node: String,
    container: String,
}

/// `GET pods/x/log`.
pub(crate) async fn log(
    server: &ApiServer,
    request: &Request,
    at: &Location<'_>,
) -> Result<Response, ApiError> {
    let pod = server.registry.get(at)?;
    let target = target(&pod, at.name, request.query.text("container"))?;
    let path = path("containerLogs", at, &target.container, &request.query, LOG_PARAMETERS);
    let response = server.tunnels.send(&target.node, node_request("GET", &path, answer::full(""))).await?;
    if response.status() != StatusCode::OK {
        return Err(node_error(response).await);
    }
    let body = response.into_body().map_err(BoxError::from).boxed_unsync();
    Ok(answer::stream(200, "text/plain", body))
}

/// `pods/x/exec` and `pods/x/attach`.
pub(crate) async fn run(
    server: &Arc<ApiServer>,
    request: Request,
    at: &Location<'_>,
    what: Subresource,
) -> Result<Response, ApiError> {
    let pod = server.registry.get(at)?;
    let target = target(&pod, at.name, request.query.text("container"))?;
    check_running(&pod, at.name)?;
    let (accept, subprotocol) = handshake(&request)?;
    let path = path(what.name(), at, &target.container, &request.query, RUN_PARAMETERS);
    let Some(upgrade) = request.upgrade else {
        return Err(ApiError::bad_request(
            "this connection cannot be upgraded: exec and attach need HTTP/1.1",
        ));
    };
    let (to_node, from_client) = mpsc::channel::<Bytes>(16);
    let mut node_request = node_request("POST", &path, channel_body(from_client));
    node_request.headers_mut().insert(SUBPROTOCOL_HEADER, HeaderValue::from_static(subprotocol));
    let answer = match server.tunnels.send(&target.node, node_request).await {
        Ok(response) if response.status() == StatusCode::OK => Ok(response.into_body()),
        Ok(response) => Err(node_error(response).await),
        Err(error) => Err(error),
    };
    tokio::spawn(async move {
        if let Err(error) = copy(upgrade, to_node, answer).await {
            tracing::debug!(%error, "an exec or attach stream ended");
        }
    });
    Ok(switching(&accept, subprotocol))
}

/// The 101 of a websocket (RFC 6455, 4.2.2).
fn switching(accept: &str, subprotocol: &'static str) -> Response {
    let mut response = answer::bytes(101, "text/plain", "");
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// `Sec-WebSocket-Accept` and the subprotocol for a client's handshake.
fn handshake(request: &Request) -> Result<(String, &'static str), ApiError> {
    let upgrade = request.header("upgrade").to_lowercase();
    if upgrade.contains("spdy") {
        let why = "SPDY is not served: use a client that speaks the websocket protocol v5.channel.k8s.io \
                   (kubectl 1.31 or later)";
        return Err(ApiError::bad_request(why));
    }
    let key = request.header("sec-websocket-key");
    if upgrade != "websocket" || key.is_empty() || request.header("sec-websocket-version") != "13" {
        return Err(ApiError::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr over a websocket: upgrade request required",
        ));
    }
    let offered: Vec<&str> = request
        .headers
        .get_all("sec-websocket-protocol")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    let chosen = SUBPROTOCOLS.iter().find(|p| offered.contains(p)).copied().ok_or_else(|| {
        let served = SUBPROTOCOLS.join(", ");
        ApiError::new(
            403,
            "Forbidden",
            format!("none of the subprotocols {offered:?} is served: {served} are"),
        )
    })?;
    Ok((accept_key(key), chosen))
}

/// RFC 6455, 4.2.2.
fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Copies both ways until both are done; an answer that is an error goes to the client's error channel.
async fn copy(
    upgrade: OnUpgrade,
    to_node: mpsc::Sender<Bytes>,
    answer: Result<Incoming, ApiError>,
) -> Result<(), BoxError> {
    let (reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await?));
    match answer {
        Err(error) => {
            writer.write_all(&status_frames(&error.to_status())).await?;
            writer.shutdown().await?;
        }
        Ok(body) => {
            let upstream = tokio::spawn(client_to_node(reader, to_node));
            let result = node_to_client(body, writer).await;
            // when the node has said all, nobody hears the client
            upstream.abort();
            result?;
        }
    }
    Ok(())
}

async fn client_to_node(mut reader: ReadHalf<TokioIo<Upgraded>>, to_node: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = reader.read(&mut buffer).await {
        if to_node.send(Bytes::copy_from_slice(&buffer[..n])).await.is_err() {
            return;
        }
    }
}

async fn node_to_client(
    mut body: Incoming,
    mut writer: WriteHalf<TokioIo<Upgraded>>,
) -> Result<(), BoxError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            writer.write_all(&data).await?;
            writer.flush().await?;
        }
    }
    writer.shutdown().await?;
    Ok(())
}

/// A Status on the error channel, and a close frame, as a server sends them (RFC 6455, 5.2).
fn status_frames(status: &Value) -> Vec<u8> {
    let text = status.to_string();
    let length = u16::try_from(text.len() + 1).unwrap_or(u16::MAX);
    let text = &text.as_bytes()[..usize::from(length) - 1];
    let mut out = vec![0x82];
    match u8::try_from(length) {
        Ok(short @ ..126) => out.push(short),
        _ => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.push(ERROR_CHANNEL);
    out.extend_from_slice(text);
    out.extend_from_slice(&[0x88, 2, 0x03, 0xe8]);
    out
}

fn channel_body(receiver: mpsc::Receiver<Bytes>) -> Body {
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, BoxError>(Frame::data(bytes)), receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn node_request(method: &str, path: &str, body: Body) -> http::Request<Body> {
    let request = http::Request::builder().method(method).uri(format!("http://node{path}")).body(body);
    request.expect("a percent-encoded path makes a valid URI")
}

/// A node's error as its own Status, or as one about what it said.
async fn node_error(response: http::Response<Incoming>) -> ApiError {
    let code = response.status().as_u16();
    let body =
        response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let status: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let message =
        status["message"].as_str().map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
    let reason = match code {
        400 => "BadRequest",
        404 => "NotFound",
        _ => "InternalError",
    };
    let mut error = ApiError::new(if code >= 400 { code } else { 502 }, reason, message);
    error.details = status["details"].clone();
    error
}

/// The node's path for a container: `/containerLogs/ns/pod/container?follow=true`.
fn path(what: &str, at: &Location<'_>, container: &str, query: &Query, parameters: &[&str]) -> String {
    let pairs: Vec<String> = query
        .pairs()
        .iter()
        .filter(|(name, _)| parameters.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={}", crate::http::encode(value)))
        .collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    format!("/{what}/{}/{}/{container}{query}", at.namespace, at.name)
}

/// Finds the container: the one that is named, or the only one (`pkg/registry/core/pod/strategy.go`).
fn target(pod: &Value, name: &str, wanted: &str) -> Result<Target, ApiError> {
    let names = |field: &str| -> Vec<String> {
        let list = pod["spec"][field].as_array();
        list.into_iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let container = if wanted.is_empty() {
        match (containers.as_slice(), init.is_empty()) {
            ([one], true) => one.clone(),
            ([], _) => {
                return Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {name}"
                )));
            }
            _ => return Err(ambiguous(name, &containers, &init)),
        }
    } else if containers.iter().chain(&init).any(|c| c == wanted) {
        wanted.to_owned()
    } else {
        return Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {name}")));
    };
    match pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        Some(node) => Ok(Target { node: node.to_owned(), container }),
        None => Err(ApiError::bad_request(format!("pod {name} does not have a host assigned"))),
    }
}

fn ambiguous(name: &str, containers: &[String], init: &[String]) -> ApiError {
    let list = containers.join(" ");
    let mut why = format!("a container name must be specified for pod {name}, choose one of: [{list}]");
    if !init.is_empty() {
        why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    ApiError::bad_request(why)
}

/// Nothing runs in a Pod that is over.
fn check_running(pod: &Value, name: &str) -> Result<(), ApiError> {
    match pod["status"]["phase"].as_str() {
        Some(phase @ ("Succeeded" | "Failed")) => {
            let why =
                format!("cannot exec into a container in a completed pod {name}; current phase is {phase}");
            let mut error = ApiError::bad_request(why);
            error.details = json!({});
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_chosen_as_kubernetes_does() {
        let pod = |containers: &[&str], init: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>();
            json!({"spec": {"nodeName": "n", "containers": list(containers), "initContainers": list(init)}})
        };
        let one = pod(&["a"], &[]);
        assert_eq!(target(&one, "p", "").unwrap(), Target { node: "n".into(), container: "a".into() });
        assert_eq!(target(&one, "p", "b").unwrap_err().message, "container b is not valid for pod p");
        let two = pod(&["a", "b"], &["i"]);
        assert_eq!(
            target(&two, "p", "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(target(&two, "p", "i").unwrap().container, "i");
        let unscheduled = json!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(target(&unscheduled, "p", "").unwrap_err().message, "pod p does not have a host assigned");
    }

    #[test]
    fn websocket_bytes() {
        // the example of RFC 6455, 1.3
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let frames = status_frames(&json!({"status": "Failure"}));
        assert_eq!(frames[..3], [0x82, 21, 3]);
        assert_eq!(frames[frames.len() - 4..], [0x88, 2, 3, 0xe8]);
        let long = status_frames(&json!("x".repeat(300)));
        assert_eq!(long[..5], [0x82, 126, 1, 47, 3]);
    }
}
