//! The node's side of the tunnel: the node dials the API server and then serves HTTP/2 on that connection, so that
//! logs, exec, attach, port-forward and proxied connections reach nodes behind namespaces and NAT.
//!
//! The version is the token of the upgrade, `sealane-tunnel/1`. Paths are the kubelet's, `/connect/SCHEME/ADDRESS:PORT` and
//! `/sealane/v1/explain`. What upgrades a connection elsewhere is a POST here: the API server shakes the client's hand, says in
//! two headers what was agreed, and copies bytes between the client's connection and the bodies.

mod answer;
mod connect;
mod dial;
mod directory;
mod exec;
mod explain;
mod logs;
mod portforward;
mod query;
pub(crate) mod spdy;
mod wire;

pub(crate) use directory::{Attempt, Directory, Known};
pub(crate) use logs::last_lines;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_util::sync::CancellationToken;

use self::answer::Failure;
use crate::agent::context::Context;
use crate::backoff::Quick;

/// The body of every answer.
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Keeps a tunnel open until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut pauses = Quick::default();
    loop {
        let served = async {
            let connection = dial::dial(&context.config).await?;
            tracing::info!(api = %context.config.api, "the tunnel is open");
            let started = tokio::time::Instant::now();
            let result = serve(connection, &context).await;
            Ok::<_, dial::DialError>((started.elapsed(), result))
        };
        let pause = tokio::select! {
            () = shutdown.cancelled() => return,
            served = served => match served {
                Ok((lasted, result)) => {
                    tracing::info!(?lasted, ?result, "the tunnel closed");
                    if lasted > std::time::Duration::from_secs(10) {
                        pauses = Quick::default();
                    }
                    pauses.next()
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot open the tunnel");
                    pauses.next()
                }
            },
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause.unwrap_or_default()) => {}
        }
    }
}

/// Serves requests on one connection until it ends.
pub(crate) async fn serve<S>(connection: S, context: &Arc<Context>) -> Result<(), hyper::Error>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = hyper::service::service_fn(|request| {
        let context = context.clone();
        async move { Ok::<_, std::convert::Infallible>(route(&context, request).await) }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // A server that went dark without a word is noticed within half a minute.
        .keep_alive_interval(std::time::Duration::from_secs(15))
        .keep_alive_timeout(std::time::Duration::from_secs(10))
        .serve_connection(connection, service)
        .await
}

async fn route(context: &Arc<Context>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let result = match (request.method(), segments.as_slice()) {
        (&Method::GET, ["containerLogs", namespace, pod, container]) => {
            logs::serve(context, namespace, pod, container, request.uri().query().unwrap_or_default()).await
        }
        (&Method::POST, ["exec", namespace, pod, container]) => {
            exec::exec(context, namespace, pod, container, request).await
        }
        (&Method::POST, ["attach", namespace, pod, container]) => {
            exec::attach(context, namespace, pod, container, request).await
        }
        (&Method::POST, ["portForward", namespace, pod]) => {
            portforward::serve(context, namespace, pod, request).await
        }
        (&Method::POST, ["connect", scheme @ ("http" | "https"), address]) => {
            connect::serve(scheme, address, request).await
        }
        (&Method::GET, ["sealane", "v1", "explain"]) => explain::serve(context).await,
        (&Method::GET, ["healthz"]) => Ok(answer::text("ok")),
        _ => Err(Failure::not_found(format!("the node does not serve {} {path}", request.method()))),
    };
    result.unwrap_or_else(Failure::into_response)
}

/// What the API server agreed on with the client: `websocket` or `spdy`, and the protocol within.
fn protocol(request: &Request<Incoming>) -> (&str, &str) {
    let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    (header("x-sealane-upgrade"), header("x-sealane-subprotocol"))
}
