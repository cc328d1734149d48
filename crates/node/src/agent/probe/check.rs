//! One check of a container: HTTP, TCP or a command. Used by probes and by lifecycle hooks.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{command, https};
use crate::runtime::{ContainerId, Runtime};

/// What is checked, with everything that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The Pod's address, or the node's for a Pod on its network.
    pub(crate) address: IpAddr,
    /// The running attempt.
    pub(crate) id: ContainerId,
    /// Its spec, for named ports.
    pub(crate) container: Container,
}

/// The ways to check.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// A GET that must answer with 200–399.
    Http(HTTPGetAction),
    /// A connection that must be accepted.
    Tcp(TCPSocketAction),
    /// A command that must exit with 0.
    Exec(ExecAction),
}

impl Check {
    /// Runs the check.
    ///
    /// # Errors
    /// The text that follows `Readiness probe failed: `.
    pub(crate) async fn run(
        &self,
        target: &Target,
        runtime: &dyn Runtime,
        limit: Duration,
    ) -> Result<(), String> {
        let work = async {
            match self {
                Self::Http(action) => http_get(action, target).await,
                Self::Tcp(action) => tcp(action, target).await,
                Self::Exec(action) => command::run(action, &target.id, runtime).await,
            }
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(target, limit)),
        }
    }

    fn timed_out(&self, target: &Target, limit: Duration) -> String {
        match self {
            Self::Http(action) => match url(action, target) {
                Ok((url, _)) => format!(
                    "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                ),
                Err(text) => text,
            },
            Self::Tcp(action) => match socket(&action.port, action.host.as_deref(), target) {
                Ok(address) => format!("dial tcp {address}: i/o timeout"),
                Err(text) => text,
            },
            Self::Exec(action) => {
                format!(
                    "command timed out: {:?} timed out after {}s",
                    action.command.as_deref().unwrap_or_default(),
                    limit.as_secs()
                )
            }
        }
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|p| p.name.as_deref() == Some(name))
            .map(|p| p.container_port)
            .or_else(|| name.parse().ok()),
    };
    let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    number.ok_or_else(|| format!("invalid port: {}", serde_json::json!(port)))
}

fn socket(target_port: &IntOrString, host: Option<&str>, target: &Target) -> Result<SocketAddr, String> {
    let port = port(target_port, &target.container)?;
    let address = match host.filter(|h| !h.is_empty()) {
        // Names are not resolved here: a probe's host is an address in practice.
        Some(host) => host.parse().map_err(|_| format!("lookup {host}: not an IP address"))?,
        None => target.address,
    };
    Ok(SocketAddr::new(address, port))
}

fn url(action: &HTTPGetAction, target: &Target) -> Result<(String, SocketAddr), String> {
    let address = socket(&action.port, action.host.as_deref(), target)?;
    let path = action.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    Ok((format!("{scheme}://{address}{slash}{path}"), address))
}

async fn tcp(action: &TCPSocketAction, target: &Target) -> Result<(), String> {
    let address = socket(&action.port, action.host.as_deref(), target)?;
    TcpStream::connect(address).await.map(drop).map_err(|e| dial_error(address, &e))
}

fn dial_error(address: SocketAddr, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {why}")
}

async fn http_get(action: &HTTPGetAction, target: &Target) -> Result<(), String> {
    let (url, address) = url(action, target)?;
    let fail = |why: String| format!("Get \"{url}\": {why}");
    let stream = TcpStream::connect(address).await.map_err(|e| fail(dial_error(address, &e)))?;
    let request = request(action, &url, address).map_err(|e| fail(e.to_string()))?;
    let status = if url.starts_with("https") {
        let stream = https::connect(stream).await.map_err(|e| fail(e.to_string()))?;
        ask(stream, request).await
    } else {
        ask(stream, request).await
    };
    match status.map_err(|e| fail(e.to_string()))?.as_u16() {
        200..400 => Ok(()),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}

/// Sends one request and returns the answer's status.
async fn ask<S>(
    stream: S,
    request: hyper::Request<Empty<bytes::Bytes>>,
) -> Result<http::StatusCode, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // The body is read so that the application sees a client that behaves; 10 KiB are enough.
        let _ = http_body_util::Limited::new(response.into_body(), 10 * 1024).collect().await;
        Ok(status)
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    let mut closed = false;
    loop {
        tokio::select! {
            status = &mut answer => return status,
            _ = &mut connection, if !closed => closed = true,
        }
    }
}

fn request(
    action: &HTTPGetAction,
    url: &str,
    address: SocketAddr,
) -> Result<hyper::Request<Empty<bytes::Bytes>>, http::Error> {
    let uri: http::Uri = url.parse()?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let mut request = hyper::Request::get(path)
        .header("User-Agent", "kube-probe/1.33")
        .header("Accept", "*/*")
        .header("Connection", "close");
    let mut has_host = false;
    for header in action.http_headers.iter().flatten() {
        has_host |= header.name.eq_ignore_ascii_case("host");
        request = request.header(&header.name, &header.value);
    }
    if !has_host {
        request = request.header("Host", address.to_string());
    }
    request.body(Empty::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn target() -> Target {
        Target {
            address: [127, 0, 0, 1].into(),
            id: ContainerId { pod_uid: "u".into(), name: "c".into(), attempt: 0 },
            container: serde_json::from_value(
                json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}),
            )
            .unwrap(),
        }
    }

    #[test]
    fn ports_by_number_and_name() {
        let container = target().container;
        for (text, wanted) in [
            (json!(80), Some(80)),
            (json!("web"), Some(8080)),
            (json!("443"), Some(443)),
            (json!("no"), None),
            (json!(0), None),
            (json!(70000), None),
        ] {
            let given: IntOrString = serde_json::from_value(text).unwrap();
            assert_eq!(port(&given, &container).ok(), wanted);
        }
    }

    async fn probe_answering(answer: &'static str) -> (Result<(), String>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        });
        let action: HTTPGetAction = serde_json::from_value(json!({"port": port, "path": "readyz?x=1",
            "httpHeaders": [{"name": "X-A", "value": "b"}]}))
        .unwrap();
        let result = http_get(&action, &target()).await;
        (result, server.await.unwrap())
    }

    #[tokio::test]
    async fn http_status_decides() {
        let (result, request) = probe_answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(result, Ok(()));
        assert!(request.starts_with("GET /readyz?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(
            request.to_lowercase().contains("\r\nx-a: b\r\n") && request.contains("127.0.0.1:"),
            "{request}"
        );
        let (result, _) = probe_answering("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(result, Ok(()));
        let (result, _) = probe_answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(result, Err("HTTP probe failed with statuscode: 503".into()));
    }

    #[tokio::test]
    async fn https_takes_any_certificate() {
        let made = rcgen::generate_simple_self_signed(vec!["elsewhere.example".into()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            stream.flush().await.unwrap();
        });
        let action: HTTPGetAction = serde_json::from_value(json!({"port": port, "scheme": "HTTPS"})).unwrap();
        assert_eq!(http_get(&action, &target()).await, Ok(()));
    }

    #[tokio::test]
    async fn a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let action: TCPSocketAction = serde_json::from_value(json!({"port": port})).unwrap();
        let wanted = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(tcp(&action, &target()).await, Err(wanted));
    }
}
