//! A request to the backend and its answer back, over a connection that a node makes.

use super::headers;
use super::location::Endpoint;
use crate::ApiServer;
use crate::http::answer::{self, BoxError};
use crate::http::{Body, Request, Response};
use crate::status::ApiError;
use crate::stream::{node_error, node_request};
use futures::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{ReaderStream, StreamReader};

/// How much may be under way to a backend.
const BUFFER: usize = 64 * 1024;

fn unreachable(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"))
}

/// A connection to the endpoint, made by its node.
async fn connect(
    server: &ApiServer,
    endpoint: &Endpoint,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, ApiError> {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let parts = ReaderStream::new(theirs).map_ok(Frame::data).map_err(BoxError::from);
    let path = format!("/connect/{}/{}", endpoint.scheme, endpoint.address);
    let request = node_request("POST", &path, StreamBody::new(parts).boxed_unsync());
    let response = server.tunnels.send(&endpoint.node, request).await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(unreachable(node_error(response).await));
    }
    let incoming = response.into_body().into_data_stream().map_err(std::io::Error::other);
    Ok(tokio::io::join(StreamReader::new(incoming), ours))
}

/// A connection that speaks HTTP, also after an upgrade.
async fn speak(server: &ApiServer, endpoint: &Endpoint) -> Result<SendRequest<Body>, ApiError> {
    let stream = connect(server, endpoint).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a backend broke");
        }
    });
    Ok(sender)
}

/// The request as the backend gets it; `fallback` is its `Host` if the client named none.
fn request_for(
    request: &Request,
    body: Body,
    rest: &str,
    fallback: &str,
    headers: HeaderMap,
) -> Result<http::Request<Body>, ApiError> {
    let slash = if rest.is_empty() { "/" } else { "" };
    let mut made = http::Request::builder()
        .method(request.method.clone())
        .uri(format!("{rest}{slash}{}", request.query_part()))
        .body(body)
        .map_err(|e| ApiError::bad_request(format!("cannot proxy this request: {e}")))?;
    *made.headers_mut() = headers;
    if let Ok(host) = HeaderValue::from_str(fallback) {
        made.headers_mut().entry(header::HOST).or_insert(host);
    }
    Ok(made)
}

/// A request and its answer.
pub(super) async fn plain(
    server: &ApiServer,
    mut request: Request,
    body: Body,
    endpoint: &Endpoint,
    rest: &str,
) -> Result<Response, ApiError> {
    let prefix = request.path.strip_suffix(rest).unwrap_or(&request.path).to_owned();
    let mut headers = std::mem::take(&mut request.headers);
    headers::clean_request(&mut headers);
    headers::forwarded(&mut headers, &prefix, rest);
    let host = headers.get(header::HOST).cloned();
    let backend = endpoint.address.to_string();
    let to_backend = request_for(&request, body, rest, &backend, headers)?;
    let mut sender = speak(server, endpoint).await?;
    let mut response = answered(sender.send_request(to_backend).await.map_err(unreachable)?);
    let headers = response.headers_mut();
    headers::clean_answer(headers);
    let host = host.as_ref().and_then(|h| h.to_str().ok()).unwrap_or_default();
    let location = headers.get(header::LOCATION).and_then(|l| l.to_str().ok());
    let rewritten = location.map(|l| headers::rewrite_location(l, &prefix, &backend, host));
    if let Some(location) = rewritten.and_then(|l| HeaderValue::from_str(&l).ok()) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

fn answered(response: http::Response<Incoming>) -> Response {
    response.map(|body| body.map_err(BoxError::from).boxed_unsync())
}

/// A request after which the connection belongs to another protocol.
pub(super) async fn upgrade(
    server: &ApiServer,
    mut request: Request,
    body: Body,
    endpoint: &Endpoint,
    rest: &str,
) -> Result<Response, ApiError> {
    let client = request.upgrade.take();
    let mut headers = std::mem::take(&mut request.headers);
    let protocol = headers.get(header::UPGRADE).cloned();
    headers::clean_request(&mut headers);
    headers.extend(protocol.map(|p| (header::UPGRADE, p)));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let to_backend = request_for(&request, body, rest, &endpoint.address.to_string(), headers)?;
    let mut sender = speak(server, endpoint).await?;
    let mut response = sender.send_request(to_backend).await.map_err(unreachable)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        if response.status().as_u16() < 400 {
            let why = format!("invalid upgrade response: status code {}", response.status().as_u16());
            return Err(ApiError::internal(why));
        }
        let mut response = answered(response);
        headers::clean_answer(response.headers_mut());
        return Ok(response);
    }
    let backend = hyper::upgrade::on(&mut response);
    let mut switching = answer::bytes(101, "text/plain", "");
    *switching.headers_mut() = std::mem::take(response.headers_mut());
    tokio::spawn(async move {
        let joined = async {
            let Some(client) = client else { return Ok(()) };
            let (client, backend) = tokio::try_join!(client, backend).map_err(std::io::Error::other)?;
            let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
            tokio::io::copy_bidirectional(&mut client, &mut backend).await.map(drop)
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "an upgraded connection to a backend broke");
        }
    });
    Ok(switching)
}

/// To the agent of a node, which answers some of a kubelet's paths.
pub(super) async fn to_node(
    server: &ApiServer,
    mut request: Request,
    node: &str,
    rest: &str,
) -> Result<Response, ApiError> {
    // Connections to anywhere, and streams that need a handshake, are this server's own business.
    if request.method != http::Method::GET && request.method != http::Method::HEAD {
        let why = "the server does not allow this method on the requested resource";
        return Err(ApiError::new(405, "MethodNotAllowed", why));
    }
    let target = format!("{rest}{}", request.query_part());
    let mut to_node = node_request(request.method.as_str(), &target, answer::full(""));
    headers::clean_request(&mut request.headers);
    request.headers.remove(header::HOST);
    request.headers.remove(header::CONTENT_LENGTH);
    *to_node.headers_mut() = request.headers;
    let mut response = answered(server.tunnels.send(node, to_node).await?);
    headers::clean_answer(response.headers_mut());
    Ok(response)
}
