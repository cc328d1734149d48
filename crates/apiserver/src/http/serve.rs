//! Listening: TLS, then HTTP/1.1 or HTTP/2 as the client chose, with the identity of its certificate.

use super::{Nearby, Peer, Response};
use crate::ApiServer;
use crate::auth::User;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who has not finished the TLS handshake by then is let go.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way may finish for this long after a shutdown began.
const DRAIN: Duration = Duration::from_millis(500);
/// A dead HTTP/2 peer is noticed within this and the timeout.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Many watches share one connection.
const STREAMS_MAX: u32 = 1000;

impl ApiServer {
    /// Serves until `shutdown`. `tls` verifies client certificates, which are optional, and offers `h2` and `http/1.1`
    /// by ALPN.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: CancellationToken,
    ) -> Result<(), std::io::Error> {
        let acceptor = TlsAcceptor::from(tls);
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // out of file descriptors, or a connection that ended at once
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (server, acceptor, shutdown) = (self.clone(), acceptor.clone(), shutdown.clone());
            connections.spawn(async move {
                if let Err(error) = server.connection(stream, acceptor, shutdown).await {
                    tracing::debug!(%error, "a connection ended");
                }
            });
        }
        connections.close();
        let _ = tokio::time::timeout(DRAIN * 2, connections.wait()).await;
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        acceptor: TlsAcceptor,
        shutdown: CancellationToken,
    ) -> Result<(), super::answer::BoxError> {
        stream.set_nodelay(true)?;
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
        let peer = peer_of(&stream);
        let nearby = stream.get_ref().0.peer_addr().is_ok_and(|address| address.ip().is_loopback());
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            let (server, peer) = (self.clone(), peer.clone());
            if nearby {
                request.extensions_mut().insert(Nearby);
            }
            async move { Ok::<Response, Infallible>(server.handle(request, peer).await) }
        });
        let io = TokioIo::new(stream);
        if http2 {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
            builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_TIMEOUT);
            let mut connection = std::pin::pin!(builder.serve_connection(io, service));
            tokio::select! {
                result = connection.as_mut() => return Ok(result?),
                () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = tokio::time::timeout(DRAIN, connection).await;
        } else {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new());
            let mut connection = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
            tokio::select! {
                result = connection.as_mut() => return Ok(result?),
                () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = tokio::time::timeout(DRAIN, connection).await;
        }
        Ok(())
    }
}

/// The user of the client's certificate, which rustls has verified: CN is the name, every O a group.
fn peer_of(stream: &TlsStream<TcpStream>) -> Peer {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    certificate.and_then(|c| user_of(c)).map_or(Peer::Unknown, Peer::Certificate)
}

fn user_of(der: &[u8]) -> Option<User> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok());
    (!name.is_empty()).then(|| User::new(name, groups))
}
