//! HTTP: from a request to a registry's answer.
//!
//! | file | does |
//! |---|---|
//! | `serve.rs` | listens: TLS, HTTP/1.1 and HTTP/2, client certificates |
//! | `client.rs` | the same without a socket, as a `kube::Client` |
//! | `access.rs` | who asks, and whether they may |
//! | `path.rs`, `query.rs`, `options.rs`, `accept.rs` | what a request says |
//! | `dispatch.rs`, `write.rs`, `patch.rs`, `list.rs`, `review.rs` | the verbs |
//! | `answer.rs` | what an answer says |
//! | `metrics.rs` | how many requests there were, and how long they took |
//!
//! Invariants: every request gets an answer; every error answer is a `Status`; no handler's panic ends more than its
//! own request.

pub(crate) mod accept;
mod access;
pub(crate) mod answer;
mod client;
mod dispatch;
mod list;
mod metrics;
mod options;
mod patch;
mod path;
mod query;
mod review;
mod serve;
mod write;

pub(crate) use answer::{Body, Response};
pub(crate) use metrics::Metrics;
pub(crate) use query::{Query, encode};

use crate::ApiServer;
use crate::auth::User;
use crate::status::ApiError;
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::upgrade::OnUpgrade;
use path::Info;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// The largest body taken, as Kubernetes has it.
const BODY_MAX: usize = 3 * 1024 * 1024;

/// Requests from sockets that are being worked on at a time (400 reads and 200 writes in Kubernetes).
pub(crate) const IN_FLIGHT_MAX: usize = 600;

/// Who is at the other end, as far as the connection tells.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// An in-process client: it is this user.
    InProcess(User),
    /// A verified client certificate.
    Certificate(User),
    /// A connection without a certificate.
    Unknown,
}

/// A request that has been read.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    /// The query as it came, for proxies.
    raw_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) upgrade: Option<OnUpgrade>,
    pub(crate) user: User,
    /// Whether it came over the loopback device, where compression costs more than it saves.
    pub(crate) nearby: bool,
}

/// Marks a request that came over the loopback device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearby;

impl Request {
    /// A header as text; empty if absent or no text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The query as it came, with its question mark; empty if there is none.
    pub(crate) fn query_part(&self) -> String {
        if self.raw_query.is_empty() { String::new() } else { format!("?{}", self.raw_query) }
    }

    /// The body's media type; JSON if none is said.
    pub(crate) fn content_type(&self) -> &str {
        let header = self.header("content-type");
        if header.is_empty() { "application/json" } else { header }
    }
}

impl ApiServer {
    /// Answers one request.
    pub(crate) async fn handle<B>(self: Arc<Self>, request: http::Request<B>, peer: Peer) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<answer::BoxError>,
    {
        let wants = accept::Wants::of(request.headers());
        let what = format!("{} {}", request.method(), request.uri().path());
        let info = Info::parse(request.uri().path());
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let (series, start) = (series(&request, &info, &query), Instant::now());
        let answer = self.clone().answer(request, info, query, peer);
        let response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => answer::error(&error),
            Err(_) => {
                tracing::error!(request = what, ?wants, "a handler panicked");
                answer::error(&ApiError::internal("the handler of this request failed"))
            }
        };
        self.metrics.count(series, response.status().as_u16(), start.elapsed());
        response
    }

    /// `info` is an error for a path that means nothing. Who may not ask does not learn of it.
    async fn answer<B>(
        self: Arc<Self>,
        request: http::Request<B>,
        info: Result<Info, ApiError>,
        query: Query,
        peer: Peer,
    ) -> Result<Response, ApiError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<answer::BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let nearby = parts.extensions.get::<Nearby>().is_some();
        let user = self.authenticate(&parts.headers, parts.uri.path(), &peer)?;
        // HTTP/2 has it elsewhere
        if let Some(host) = parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok()) {
            parts.headers.entry(http::header::HOST).or_insert(host);
        }
        let mut request = Request {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query,
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body: Bytes::new(),
            upgrade,
            user,
            nearby,
        };
        let info = info?;
        // held until the head of the answer is there: a watch goes on without it
        let _permit = match peer {
            Peer::InProcess(_) => None,
            _ if info.takes_long() => None,
            Peer::Certificate(_) | Peer::Unknown => {
                Some(self.in_flight.try_acquire().map_err(|_| too_many())?)
            }
        };
        self.authorize(&request, &info)?;
        if info.subresource == "proxy" {
            // It is not waited for, and of any length.
            return self.dispatch(request, info, body.map_err(Into::into).boxed_unsync()).await;
        }
        if matches!(request.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            request.body = read_body(body).await?;
        }
        self.dispatch(request, info, answer::full("")).await
    }
}

fn series<B>(request: &http::Request<B>, info: &Result<Info, ApiError>, query: &Query) -> metrics::Series {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    metrics::Series::of(request.method(), info.as_ref().unwrap_or(&Info::default()), query, content_type)
}

fn too_many() -> ApiError {
    ApiError::new(429, "TooManyRequests", "too many requests, please try again later")
}

async fn read_body<B>(body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<answer::BoxError>,
{
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            let message = format!("Request entity too large: limit is {BODY_MAX}");
            Err(ApiError::new(413, "RequestEntityTooLarge", message))
        }
        Err(e) => Err(ApiError::bad_request(format!("reading the body: {e}"))),
    }
}
