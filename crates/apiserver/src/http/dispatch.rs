//! From a request to the function that answers it.

use super::answer::{self, Body, Response};
use super::path::{Info, nothing_there};
use super::{Request, accept::Wants};
use crate::ApiServer;
use crate::kinds::{self, Kind, Subresource};
use crate::registry::Location;
use crate::status::ApiError;
use crate::{discovery, openapi, proxy, stream, tunnel};
use http::{HeaderValue, Method, header};
use std::sync::Arc;

const SUBRESOURCES: &[Subresource] = &[
    Subresource::Status,
    Subresource::Scale,
    Subresource::Finalize,
    Subresource::Binding,
    Subresource::Eviction,
    Subresource::Token,
    Subresource::Log,
    Subresource::Exec,
    Subresource::Attach,
    Subresource::PortForward,
    Subresource::PodProxy,
    Subresource::ServiceProxy,
    Subresource::NodeProxy,
];

/// The media type of OpenAPI v2, by its beginning and as it is answered.
const OPENAPI_V2: &str = "application/com.github.proto-openapi.spec.v2";
const OPENAPI_V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

impl ApiServer {
    /// `incoming` is the body of a request to a proxy; the others have read theirs.
    pub(super) async fn dispatch(
        self: &Arc<Self>,
        request: Request,
        info: Info,
        incoming: Body,
    ) -> Result<Response, ApiError> {
        if !info.resource {
            return self.other(request);
        }
        let kind = kinds::find(&info.group, &info.version, &info.plural).ok_or_else(nothing_there)?;
        if !info.namespace.is_empty() && !kind.namespaced {
            return Err(nothing_there());
        }
        let at = Location { kind, version: &info.version, namespace: &info.namespace, name: &info.name };
        if info.subresource.is_empty() {
            return self.object(&request, &at).await;
        }
        let found = SUBRESOURCES.iter().find(|s| s.name() == info.subresource && kind.has(**s));
        let subresource = *found.ok_or_else(nothing_there)?;
        if !info.rest.is_empty() && !proxies(subresource) {
            return Err(nothing_there());
        }
        if proxies(subresource) {
            return proxy::serve(self, request, incoming, &at, subresource, &info.rest).await;
        }
        self.below(request, &at, subresource).await
    }

    async fn object(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        if !at.kind.stored {
            return match request.method {
                Method::POST if at.name.is_empty() => self.review(request, at),
                _ => Err(not_allowed()),
            };
        }
        let one_namespace = !at.kind.namespaced || !at.namespace.is_empty();
        let named = !at.name.is_empty();
        match request.method {
            Method::GET if named && one_namespace => self.get(request, at),
            Method::GET if !named && request.query.flag("watch") => self.watch(request, at),
            Method::GET if !named => self.list(request, at).await,
            Method::POST if !named && one_namespace => self.create(request, at).await,
            Method::PUT if named && one_namespace => self.put(request, at, None).await,
            Method::PATCH if named && one_namespace => self.patch(request, at, None).await,
            Method::DELETE if named && one_namespace => self.delete(request, at).await,
            Method::DELETE if !named && one_namespace => self.delete_collection(request, at).await,
            _ => Err(not_allowed()),
        }
    }

    async fn below(
        self: &Arc<Self>,
        request: Request,
        at: &Location<'_>,
        subresource: Subresource,
    ) -> Result<Response, ApiError> {
        match (subresource, request.method.clone()) {
            (Subresource::Status, Method::GET) => self.get(&request, at),
            (Subresource::Scale, Method::GET) => self.get_scale(&request, at),
            (Subresource::Status | Subresource::Scale, Method::PATCH) => {
                self.patch(&request, at, Some(subresource)).await
            }
            (Subresource::Status | Subresource::Scale | Subresource::Finalize, Method::PUT) => {
                self.put(&request, at, Some(subresource)).await
            }
            (Subresource::Binding, Method::POST) => self.binding(&request, at).await,
            (Subresource::Eviction, Method::POST) => self.evict(&request, at).await,
            (Subresource::Token, Method::POST) => self.token(&request, at),
            (Subresource::Log, Method::GET) => stream::log(self, &request, at).await,
            (Subresource::Exec | Subresource::Attach, Method::GET | Method::POST) => {
                stream::run(self, request, at, subresource).await
            }
            (Subresource::PortForward, Method::GET | Method::POST) => {
                stream::port_forward(self, request, at).await
            }
            _ => Err(not_allowed()),
        }
    }

    /// Paths that name no resource.
    fn other(self: &Arc<Self>, request: Request) -> Result<Response, ApiError> {
        if request.path == tunnel::PATH {
            return tunnel::accept(self, request);
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Err(if discovery::exists(&request.path) { not_allowed() } else { nothing_there() });
        }
        let path = request.path.trim_end_matches('/');
        if let Some(rest) = path.strip_prefix("/openapi/v3") {
            return openapi_v3(&request, rest);
        }
        let wants = Wants::of(&request.headers);
        if path == "/openapi/v2" && wants.0.iter().any(|m| m.name.starts_with(OPENAPI_V2)) {
            return Ok(answer::bytes(200, OPENAPI_V2_PROTOBUF, openapi_v2(&self.config.kubernetes_version)));
        }
        if let Some(name) = ["/healthz", "/livez", "/readyz"]
            .iter()
            .find(|p| path == **p || path.starts_with(&format!("{p}/")))
        {
            return Ok(health(&request, name));
        }
        if path == "/metrics" {
            return Ok(self.metrics());
        }
        discovery::answer(&self.config, path, &wants)
    }
}

fn proxies(subresource: Subresource) -> bool {
    matches!(subresource, Subresource::PodProxy | Subresource::ServiceProxy | Subresource::NodeProxy)
}

/// Everything that is up when this answers is well: the store answers from memory, and writes fail by themselves.
fn health(request: &Request, name: &str) -> Response {
    let name = name.trim_start_matches('/');
    let text = if request.query.optional_flag("verbose").is_some() {
        format!("[+]ping ok\n[+]store ok\n{name} check passed\n")
    } else {
        "ok".to_owned()
    };
    answer::bytes(200, "text/plain; charset=utf-8", text)
}

fn openapi_v3(request: &Request, rest: &str) -> Result<Response, ApiError> {
    Wants::of(&request.headers).json()?;
    let (group, version) = match rest.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        [""] => return Ok(answer::value(200, &openapi::index())),
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return Err(nothing_there()),
    };
    let document = openapi::document(group, version).ok_or_else(nothing_there)?;
    let mut response = answer::bytes(200, "application/json", document);
    let headers = response.headers_mut();
    let etag = openapi::etag(group, version).and_then(|t| HeaderValue::from_str(&format!("\"{t}\"")).ok());
    if let Some(etag) = etag {
        if request.headers.get(header::IF_NONE_MATCH) == Some(&etag) {
            let mut response = answer::bytes(304, "application/json", "");
            response.headers_mut().insert(header::ETAG, etag);
            return Ok(response);
        }
        headers.insert(header::ETAG, etag);
    }
    if request.query.get("hash").is_some() {
        // the hash names the content: it never changes
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365);
        let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(value) = HeaderValue::from_str(&expires) {
            headers.insert(header::EXPIRES, value);
        }
    }
    Ok(response)
}

/// kubectl asks for version 2 where version 3 does not know a kind (one that is misspelt, or `List`), and gives up if there
/// is none. Version 3 says all that is served, so this document names itself and no kind. It is a gnostic
/// `openapi.v2.Document`: `swagger` (1), `info` (2) with `title` (1) and `version` (2), `paths` (8).
fn openapi_v2(version: &str) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length =
            u8::try_from(bytes.len()).ok().filter(|l| *l < 0x80).expect("names and versions are short");
        [&[number << 3 | 2, length], bytes].concat()
    };
    let info = [field(1, b"Kubernetes"), field(2, &version.as_bytes()[..version.len().min(64)])].concat();
    [field(1, b"2.0"), field(2, &info), field(8, b"")].concat()
}

fn not_allowed() -> ApiError {
    ApiError::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}

/// The form of a review's or a subresource's schema, for decoding.
pub(super) fn schema_of(
    kind: &'static Kind,
    version: &str,
    below: Option<Subresource>,
) -> (String, String, String) {
    match below.map(Subresource::schema) {
        Some((group, v, name)) if !name.is_empty() => (group.to_owned(), v.to_owned(), name.to_owned()),
        _ => (kind.group.to_owned(), version.to_owned(), kind.kind.to_owned()),
    }
}
