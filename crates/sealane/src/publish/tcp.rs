//! Relays TCP connections of one published port.

use super::plan::Published;
use crate::wire::Residence;
use rand::seq::SliceRandom;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A node on the same machine answers within microseconds; one that is dark does not at all.
const CONNECT: Duration = Duration::from_secs(1);

/// Accepts until the port is closed.
pub(super) async fn relay(
    listener: TcpListener,
    residence: Residence,
    target: watch::Receiver<Published>,
    close: CancellationToken,
) {
    loop {
        let accepted =
            tokio::select! { accepted = listener.accept() => accepted, () = close.cancelled() => return };
        let Ok((client, _)) = accepted else {
            // Out of descriptors, most likely: wait until some are free again.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let published = target.borrow().clone();
        tokio::spawn(connect_and_copy(client, residence.clone(), published));
    }
}

async fn connect_and_copy(mut client: TcpStream, residence: Residence, published: Published) {
    match connect(&residence, &published).await {
        Ok(mut node) => {
            let _ = (client.set_nodelay(true), node.set_nodelay(true));
            let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
        }
        Err(error) => {
            tracing::debug!(%error, service = published.service, "no node took a connection");
            // A reset says "refused" as well as can be said after the handshake.
            let _ = rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO));
        }
    }
}

async fn connect(residence: &Residence, published: &Published) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::ConnectionRefused, "no node is Ready");
    for address in in_order(published) {
        match tokio::time::timeout(CONNECT, connect_to(residence, address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Nodes with an endpoint first; among equals any.
pub(super) fn in_order(published: &Published) -> Vec<SocketAddr> {
    let mut random = rand::rng();
    let (mut first, mut then) = (published.preferred.clone(), published.others.clone());
    first.shuffle(&mut random);
    then.shuffle(&mut random);
    first.append(&mut then);
    first
}

async fn connect_to(residence: &Residence, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = residence.run(TcpSocket::new_v4).await?;
    socket.connect(address).await
}
