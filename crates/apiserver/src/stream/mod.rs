//! A Pod's streams: `log`, `exec`, `attach`, `portforward`. The server finds the container and its node, shakes the client's
//! hand and copies bytes; the node speaks the protocol within.
//!
//! | file | does |
//! |---|---|
//! | `handshake.rs` | websocket or SPDY, and which protocol within |
//! | `target.rs` | which container, on which node |
//! | `copy.rs` | the bytes |

mod copy;
mod handshake;
mod target;

use self::handshake::{Carrier, Handshake};
use self::target::{check_running, node, target};
use crate::ApiServer;
use crate::http::answer::{self, BoxError};
use crate::http::{Body, Query, Request, Response};
use crate::kinds::Subresource;
use crate::registry::Location;
use crate::status::ApiError;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The parameters of a log that the node understands.
const LOG_PARAMETERS: &[&str] =
    &["follow", "tailLines", "previous", "timestamps", "sinceSeconds", "sinceTime", "limitBytes", "stream"];
/// The parameters of exec and attach.
const RUN_PARAMETERS: &[&str] = &["command", "stdin", "stdout", "stderr", "tty"];
/// The parameters of portforward.
const PORT_PARAMETERS: &[&str] = &["ports"];

/// `GET pods/x/log`.
pub(crate) async fn log(
    server: &ApiServer,
    request: &Request,
    at: &Location<'_>,
) -> Result<Response, ApiError> {
    let pod = server.registry.get(at)?;
    let target = target(&pod, at.name, request.query.text("container"))?;
    let path = path("containerLogs", at, Some(&target.container), &request.query, LOG_PARAMETERS);
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
    let handshake = Handshake::of(&request.headers, handshake::RUN)?;
    let path = path(what.name(), at, Some(&target.container), &request.query, RUN_PARAMETERS);
    // Clients that speak a websocket's channels show a Status on the error channel; of an answer without an upgrade they only
    // say that it is none.
    let channels = handshake.carrier == Carrier::WebSocket;
    upgrade(server, request, handshake, &target.node, &path, channels).await
}

/// `pods/x/portforward`.
pub(crate) async fn port_forward(
    server: &Arc<ApiServer>,
    request: Request,
    at: &Location<'_>,
) -> Result<Response, ApiError> {
    let pod = server.registry.get(at)?;
    let node = node(&pod, at.name)?;
    let handshake = Handshake::of(&request.headers, handshake::PORT_FORWARD)?;
    let path = path("portForward", at, None, &request.query, PORT_PARAMETERS);
    upgrade(server, request, handshake, &node, &path, false).await
}

/// Answers the client's handshake and joins its connection to a request to the node. An error of the node is told after the
/// upgrade if there are `channels`.
async fn upgrade(
    server: &Arc<ApiServer>,
    request: Request,
    handshake: Handshake,
    node: &str,
    path: &str,
    channels: bool,
) -> Result<Response, ApiError> {
    let Some(upgrade) = request.upgrade else {
        return Err(ApiError::bad_request("this connection cannot be upgraded: streams need HTTP/1.1"));
    };
    let (to_node, from_client) = mpsc::channel::<Bytes>(16);
    let mut node_request = node_request("POST", path, copy::channel_body(from_client));
    let headers = node_request.headers_mut();
    headers.insert("x-sealane-upgrade", HeaderValue::from_static(handshake.carrier.name()));
    headers.insert("x-sealane-subprotocol", HeaderValue::from_static(handshake.protocol));
    let answer = match server.tunnels.send(node, node_request).await {
        Ok(response) if response.status() == StatusCode::OK => Ok(response.into_body()),
        Ok(response) => Err(node_error(response).await),
        Err(error) => Err(error),
    };
    let answer = if channels { answer } else { Ok(answer?) };
    let response = handshake.response();
    tokio::spawn(async move {
        if let Err(error) = copy::copy(upgrade, to_node, answer).await {
            tracing::debug!(%error, "a stream of a Pod ended");
        }
    });
    Ok(response)
}

/// A request to a node.
pub(crate) fn node_request(method: &str, path: &str, body: Body) -> http::Request<Body> {
    let request = http::Request::builder().method(method).uri(format!("http://node{path}")).body(body);
    request.expect("a percent-encoded path makes a valid URI")
}

/// A node's error as its own Status, or as one about what it said.
pub(crate) async fn node_error(response: http::Response<Incoming>) -> ApiError {
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

/// The node's path for a Pod or a container: `/containerLogs/ns/pod/container?follow=true`.
fn path(
    what: &str,
    at: &Location<'_>,
    container: Option<&str>,
    query: &Query,
    parameters: &[&str],
) -> String {
    let pairs: Vec<String> = query
        .pairs()
        .iter()
        .filter(|(name, _)| parameters.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={}", crate::http::encode(value)))
        .collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let container = container.map(|c| format!("/{c}")).unwrap_or_default();
    format!("/{what}/{}/{}{container}{query}", at.namespace, at.name)
}
