//! Dialling the API server and turning the connection around.

use std::sync::Arc;

use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::config::Config;

/// The protocol and its version.
const PROTOCOL: &str = "sealane-tunnel/1";

/// Why the tunnel did not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// No connection, or no TLS.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The name in the configuration is no name.
    #[error("bad server name: {0}")]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    /// HTTP went wrong.
    #[error("cannot ask for the upgrade: {0}")]
    Http(#[from] hyper::Error),
    /// The request could not be made.
    #[error("cannot make the request: {0}")]
    Request(#[from] http::Error),
    /// The server said no.
    #[error("the server refused the tunnel: {0}")]
    Refused(StatusCode),
}

/// Opens the connection on which the node then is the server.
pub(super) async fn dial(config: &Config) -> Result<hyper::upgrade::Upgraded, DialError> {
    let stream = TcpStream::connect(config.api).await?;
    stream.set_nodelay(true)?;
    let mut tls = rustls::ClientConfig::clone(&config.tls);
    // An upgrade is a thing of HTTP/1.1.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(config.api_host())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
    upgrade(TokioIo::new(stream), &config.api_host()).await
}

async fn upgrade<S>(stream: S, host: &str) -> Result<hyper::upgrade::Upgraded, DialError>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/sealane/v1/tunnel")
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(DialError::Refused(response.status()));
    }
    Ok(hyper::upgrade::on(response).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn answered(answer: &'static str) -> (Result<hyper::upgrade::Upgraded, DialError>, String) {
        let (client, mut server) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let n = server.read(&mut buffer).await.unwrap();
            server.write_all(answer.as_bytes()).await.unwrap();
            (String::from_utf8_lossy(&buffer[..n]).into_owned(), server)
        });
        let result = upgrade(TokioIo::new(client), "10.123.0.1").await;
        (result, server.await.unwrap().0)
    }

    #[tokio::test]
    async fn the_version_is_in_the_upgrade() {
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sealane-tunnel/1\r\n\r\n";
        let (result, request) = answered(answer).await;
        assert!(result.is_ok());
        assert!(request.starts_with("GET /sealane/v1/tunnel HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("upgrade: sealane-tunnel/1\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let (result, _) = answered("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        assert!(matches!(result, Err(DialError::Refused(StatusCode::FORBIDDEN))));
    }
}
