//! HTTP to registries: the only place that dials them.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;

use super::RegistryError;

/// How long a registry may take until its answer begins, connecting included.
const ANSWER: Duration = Duration::from_secs(30);
/// How long an answer may pause.
pub(crate) const IDLE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 5;

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// A client of any registry.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client<Connector, Full<Bytes>>,
    loopback_only: bool,
}

impl Transport {
    /// With `loopback_only`, hosts other than this one are refused before any name is looked up.
    pub(crate) fn new(loopback_only: bool) -> Result<Self, RegistryError> {
        let mut roots = rustls::RootCertStore::empty();
        // A machine without certificates still reaches registries over plain http.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|e| RegistryError::Tls(std::io::Error::other(e)))?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Resolver);
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = https.enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Ok(Self { client, loopback_only })
    }

    /// Sends a request and follows redirects, which get no credentials of another host.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, RegistryError> {
        let (mut parts, body) = request.into_parts();
        for _ in 0..REDIRECTS {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            let response = self.send_once(request).await?;
            let Some(next) = redirect(&parts.uri, &response) else { return Ok(response) };
            if next.authority() != parts.uri.authority() {
                parts.headers.remove(AUTHORIZATION);
            }
            parts.uri = next;
        }
        let cause = format!("more than {REDIRECTS} redirects");
        Err(RegistryError::Malformed { host: host(&parts.uri), what: "answer", cause })
    }

    async fn send_once(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, RegistryError> {
        let name = host(request.uri());
        if self.loopback_only && !is_loopback(&name) {
            return Err(RegistryError::NotDialled(name));
        }
        let unreachable = |cause: String| RegistryError::Unreachable { host: name.clone(), cause };
        match tokio::time::timeout(ANSWER, self.client.request(request)).await {
            Ok(answered) => answered.map_err(|e| unreachable(chain(&e))),
            Err(_) => Err(unreachable(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn read(
    host: &str,
    response: Response<Incoming>,
    limit: usize,
) -> Result<Bytes, RegistryError> {
    let unreachable = |cause: String| RegistryError::Unreachable { host: host.to_owned(), cause };
    let body = Limited::new(response.into_body(), limit).collect();
    match tokio::time::timeout(IDLE, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(unreachable(chain(&*error))),
        Err(_) => Err(unreachable(format!("the answer paused for {} s", IDLE.as_secs()))),
    }
}

fn redirect(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to: Uri = response.headers().get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let mut parts = to.into_parts();
    parts.scheme = parts.scheme.or_else(|| from.scheme().cloned());
    parts.authority = parts.authority.or_else(|| from.authority().cloned());
    // From https to http would show what was meant to be hidden.
    Uri::from_parts(parts)
        .ok()
        .filter(|to| from.scheme_str() == Some("http") || to.scheme_str() == Some("https"))
}

/// `HOST` or `HOST:PORT`.
pub(super) fn host(uri: &Uri) -> String {
    uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default()
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An error with its causes, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        // hyper's own first words say nothing that its cause does not.
        if !text.contains(&said) && !said.starts_with("client error") {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        next = error.source();
    }
    text
}

/// `localhost` is this machine without asking anybody; other names are the system's to look up.
#[derive(Clone, Debug)]
struct Resolver;

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        async move {
            if name.as_str() == "localhost" {
                let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                return Ok(both.map(|ip| SocketAddr::new(ip, 0)).to_vec().into_iter());
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.collect::<Vec<_>>().into_iter())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_many_names() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:80", "127.8.9.1", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["docker.io", "localhost.example.com:5000", "128.0.0.1", "[::2]:5000", "registry:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
