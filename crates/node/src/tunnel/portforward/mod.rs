//! port-forward: connections of a client to ports of a Pod, made inside the Pod's network namespace.

mod copy;
mod dial;
mod spdy;
mod websocket;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use self::dial::Target;
use super::answer::Failure;
use super::{Body, protocol, query, wire};
use crate::agent::context::Context;

/// Connects a client to ports of a Pod.
///
/// # Errors
/// When there is no such Pod with a network, or the client speaks something else.
pub(super) async fn serve(
    context: &Arc<Context>,
    namespace: &str,
    pod: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let uid = context.directory.pod(namespace, pod)?;
    let netns = match context.network.find(&uid) {
        Some(network) => network.netns,
        None if on_the_nodes_network(context, &uid).await => None,
        None => return Err(Failure::not_found(format!("the sandbox of pod {pod:?} is not running"))),
    };
    let target = Target { pod: pod.to_owned(), uid, netns };
    match protocol(&request) {
        ("spdy", "portforward.k8s.io") => {
            let (wire, response) = wire::plain(request);
            tokio::spawn(spdy::converse(wire, target));
            Ok(response)
        }
        ("websocket", "SPDY/3.1+portforward.k8s.io") => {
            let (wire, response) = wire::in_websocket(request);
            tokio::spawn(spdy::converse(wire, target));
            Ok(response)
        }
        ("websocket", "v4.channel.k8s.io") => {
            let ports = websocket::ports(&query::pairs(request.uri().query().unwrap_or_default()))?;
            Ok(websocket::serve(request, target, ports))
        }
        (carrier, other) => Err(Failure::bad_request(format!(
            "the node does not speak {other:?} over {carrier:?} for port-forward"
        ))),
    }
}

async fn on_the_nodes_network(context: &Context, uid: &str) -> bool {
    let pods = context.runtime.list().await.unwrap_or_default();
    pods.iter().any(|p| p.config.uid == uid && p.config.netns.is_none() && p.running)
}
