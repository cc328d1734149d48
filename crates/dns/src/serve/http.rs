//! `/metrics`, `/health` and `/ready` over HTTP/1.1, one request a connection.

use super::{Shared, accept::accept};
use crate::forward::Forwarder;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The longest head of a request.
const LONGEST_HEAD: usize = 8_192;
/// How long a request may take from end to end.
const PATIENCE: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 32;

/// Accepts until shutdown.
pub(super) async fn serve(listener: TcpListener, shared: Shared) {
    accept(listener, CONNECTIONS, shared, |stream, _, shared| async move {
        // A client that went away has nothing to complain about.
        let _ = timeout(PATIENCE, exchange(stream, &shared)).await;
    })
    .await;
}

async fn exchange(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let (mut head, mut part) = (Vec::new(), [0; 1_024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            length => head.extend_from_slice(&part[..length]),
        }
    }
    let (status, body) = respond(&head, shared);
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(head: &[u8], shared: &Shared) -> (&'static str, String) {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match (method, path) {
        (b"GET", b"/metrics") => {
            let forwarder = shared.forwarder.as_ref().map(Forwarder::render).unwrap_or_default();
            ("200 OK", shared.metrics.render() + &forwarder)
        }
        (b"GET", b"/health") => ("200 OK", "OK".into()),
        (b"GET", b"/ready") if shared.zone.load().is_ready() => ("200 OK", "OK".into()),
        (b"GET", b"/ready") => ("503 Service Unavailable", "kubernetes".into()),
        (b"GET", _) => ("404 Not Found", "not found\n".into()),
        _ => ("405 Method Not Allowed", "only GET is served\n".into()),
    }
}
