//! The nodes' tunnels: each node keeps one connection to the server, on which the server is the HTTP/2 client and the
//! node answers as a kubelet does. So exec, attach and logs work behind namespaces and NAT.
//!
//! A node asks `GET /sealane/v1/tunnel` with `Upgrade: sealane-tunnel/1` and its client certificate; after the 101 the
//! roles turn round.

use crate::ApiServer;
use crate::http::answer;
use crate::http::{Body, Request, Response};
use crate::status::ApiError;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where a node asks for its tunnel.
pub(crate) const PATH: &str = "/sealane/v1/tunnel";
/// The protocol and its version.
const PROTOCOL: &str = "sealane-tunnel/1";
/// A dead node is noticed within this and the timeout.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that has not begun to answer by then will not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A node that was away this shortly is waited for.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// The tunnels that stand, by node.
#[derive(Default)]
pub(crate) struct Tunnels {
    nodes: Mutex<HashMap<String, (u64, SendRequest<Body>)>>,
    next: AtomicU64,
    arrived: tokio::sync::Notify,
}

impl Tunnels {
    fn insert(&self, node: &str, sender: SendRequest<Body>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(node.to_owned(), (id, sender));
        self.arrived.notify_waiters();
        id
    }

    /// Forgets a tunnel, unless a newer one has taken its place.
    fn remove(&self, node: &str, id: u64) {
        let mut nodes = self.lock();
        if nodes.get(node).is_some_and(|(standing, _)| *standing == id) {
            nodes.remove(node);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u64, SendRequest<Body>)>> {
        self.nodes.lock().expect("no holder of this lock panics")
    }

    fn get(&self, node: &str) -> Option<SendRequest<Body>> {
        self.lock().get(node).map(|(_, sender)| sender.clone()).filter(|sender| !sender.is_closed())
    }

    /// The tunnel of a node; a node that is just coming back is given a moment.
    async fn wait(&self, node: &str) -> Option<SendRequest<Body>> {
        let deadline = tokio::time::Instant::now() + CONNECT_WAIT;
        loop {
            let arrived = self.arrived.notified();
            if let Some(sender) = self.get(node) {
                return Some(sender);
            }
            tokio::time::timeout_at(deadline, arrived).await.ok()?;
        }
    }

    /// Sends a request to a node and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        node: &str,
        request: http::Request<Body>,
    ) -> Result<http::Response<Incoming>, ApiError> {
        let away = |why: &str| ApiError::new(502, "", format!("the node {node} cannot be reached: {why}"));
        let mut sender = self
            .wait(node)
            .await
            .ok_or_else(|| away("it has no connection to the API server at the moment"))?;
        sender.ready().await.map_err(|e| away(&e.to_string()))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(away(&error.to_string())),
            Err(_) => Err(away("it did not answer in time")),
        }
    }
}

/// Answers a node's request for its tunnel.
pub(crate) fn accept(server: &Arc<ApiServer>, request: Request) -> Result<Response, ApiError> {
    let name = request.user.name.strip_prefix("system:node:").filter(|_| request.user.is_in("system:nodes"));
    let Some(node) = name.map(str::to_owned) else {
        return Err(ApiError::new(403, "Forbidden", "forbidden: only a node may open a tunnel"));
    };
    let wanted = request.header("upgrade").split(',').any(|p| p.trim() == PROTOCOL);
    if request.method != Method::GET || !wanted {
        let why = format!("this path wants GET with Connection: Upgrade and Upgrade: {PROTOCOL}");
        return Err(ApiError::bad_request(why));
    }
    let Some(upgrade) = request.upgrade else {
        return Err(ApiError::bad_request("this connection cannot be upgraded: the tunnel needs HTTP/1.1"));
    };
    let server = server.clone();
    tokio::spawn(async move {
        if let Err(error) = hold(&server, &node, upgrade).await {
            tracing::info!(node, %error, "a node's tunnel ended");
        }
    });
    let mut response = answer::stream(101, "application/json", answer::full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

/// Keeps a tunnel until it ends.
async fn hold(server: &ApiServer, node: &str, upgrade: OnUpgrade) -> Result<(), hyper::Error> {
    let io = upgrade.await?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_while_idle(true);
    builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_TIMEOUT);
    let (sender, connection) = builder.handshake(io).await?;
    let id = server.tunnels.insert(node, sender);
    tracing::info!(node, "a node's tunnel stands");
    let result = connection.await;
    server.tunnels.remove(node, id);
    result
}
