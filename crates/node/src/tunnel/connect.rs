//! Connections to addresses that only the node can reach: the API server speaks HTTP over them for the `proxy` subresources.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::answer::Failure;
use super::{Body, wire};
use crate::agent::probe::https;

/// What does not answer by then will not.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to an address from the node's network, with TLS if the scheme is `https`, and joins the bodies to the connection.
///
/// # Errors
/// When the address is none, or nothing answers there.
pub(super) async fn serve(
    scheme: &str,
    address: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| Failure::bad_request(format!("{address:?} is no address with a port")))?;
    let failed = |why: &str| Failure::bad_gateway(format!("dial tcp {address}: {why}"));
    let made = tokio::time::timeout(TIMEOUT, connect(scheme, address)).await;
    let mut stream = match made {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(&why(&error))),
        Err(_) => return Err(failed("i/o timeout")),
    };
    Ok(wire::bodies(request, move |mut bodies| {
        Box::pin(async move {
            if let Err(error) = tokio::io::copy_bidirectional(&mut bodies, &mut stream).await {
                tracing::debug!(%address, %error, "a proxied connection broke");
            }
        })
    }))
}

async fn connect(scheme: &str, address: SocketAddr) -> std::io::Result<Box<dyn Duplex>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(if scheme == "https" { Box::new(https::connect(stream).await?) } else { Box::new(stream) })
}

/// A connection, with or without TLS.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why a connection was not made, in the words that Kubernetes' users know.
pub(super) fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "connect: cannot assign requested address".to_owned(),
        _ => error.to_string(),
    }
}
