//! The `proxy` subresources of Services, Pods and nodes: HTTP with what they name, through the tunnel of the node that can
//! reach it.
//!
//! | file | does |
//! |---|---|
//! | `location.rs` | where a request goes |
//! | `forward.rs` | the request there and its answer back |
//! | `headers.rs` | which headers go with them, and how `Location` is rewritten |
//!
//! Semantics are those of `staging/src/k8s.io/apimachinery/pkg/util/proxy`, but that links in HTML pages are left as they are.

mod forward;
mod headers;
mod location;

use self::location::Target;
use crate::ApiServer;
use crate::http::{Body, Request, Response, answer};
use crate::kinds::Subresource;
use crate::registry::Location;
use crate::status::ApiError;
use http::{HeaderValue, Method, header};

/// Answers a request with a body for `…/proxy` and `rest`, which is empty or begins with a slash.
pub(crate) async fn serve(
    server: &ApiServer,
    request: Request,
    body: Body,
    at: &Location<'_>,
    subresource: Subresource,
    rest: &str,
) -> Result<Response, ApiError> {
    let target = match subresource {
        Subresource::ServiceProxy => location::service(&server.registry, at)?,
        Subresource::PodProxy => location::pod(&server.registry, at)?,
        _ => location::node(&server.registry, at)?,
    };
    let upgrade = request.upgrade.is_some() && headers::asks_for_upgrade(&request.headers);
    if rest.is_empty() && !upgrade && matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(with_slash(&request));
    }
    match target {
        Target::Node(node) => forward::to_node(server, request, &node, rest).await,
        Target::Address(endpoint) if upgrade => {
            forward::upgrade(server, request, body, &endpoint, rest).await
        }
        Target::Address(endpoint) => forward::plain(server, request, body, &endpoint, rest).await,
    }
}

/// Relative links on the page lead somewhere only if its own address ends in a slash.
fn with_slash(request: &Request) -> Response {
    let mut response = answer::bytes(301, "text/plain", "");
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{}", request.path, request.query_part())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
