//! Relays UDP of one published port: a socket on the wire for each client, so that answers find their way back.

use super::plan::Published;
use super::tcp::in_order;
use crate::wire::Residence;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A client that neither sends nor gets anything for so long is forgotten, as conntrack does.
const IDLE: Duration = Duration::from_secs(30);

/// Clients a port has at the most; datagrams of more are dropped.
const CLIENTS: usize = 1024;

type Sessions = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

/// Relays until the port is closed.
pub(super) async fn relay(
    socket: UdpSocket,
    residence: Residence,
    target: watch::Receiver<Published>,
    close: CancellationToken,
) {
    let socket = Arc::new(socket);
    let sessions = Sessions::default();
    let mut datagram = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut datagram) => received,
            () = close.cancelled() => return,
        };
        let Ok((length, client)) = received else { continue };
        let known = lock(&sessions).get(&client).cloned();
        let session = match known {
            Some(session) => session,
            None if lock(&sessions).len() >= CLIENTS => continue,
            None => {
                let published = target.borrow().clone();
                let Ok(session) = open(&residence, &published).await.map(Arc::new) else { continue };
                lock(&sessions).insert(client, session.clone());
                tokio::spawn(answer(
                    session.clone(),
                    socket.clone(),
                    client,
                    sessions.clone(),
                    close.clone(),
                ));
                session
            }
        };
        let _ = session.send(&datagram[..length]).await;
    }
}

async fn open(residence: &Residence, published: &Published) -> io::Result<UdpSocket> {
    let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "no node is Ready");
    let node = in_order(published).into_iter().next().ok_or_else(refused)?;
    let socket = residence
        .run(|| {
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .await?;
    let socket = UdpSocket::from_std(socket)?;
    socket.connect(node).await?;
    Ok(socket)
}

/// Carries answers back until the client is idle, the node refuses or the port is closed.
async fn answer(
    session: Arc<UdpSocket>,
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    sessions: Sessions,
    close: CancellationToken,
) {
    let mut datagram = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            received = tokio::time::timeout(IDLE, session.recv(&mut datagram)) => received,
            () = close.cancelled() => break,
        };
        let Ok(Ok(length)) = received else { break };
        let _ = socket.send_to(&datagram[..length], client).await;
    }
    lock(&sessions).remove(&client);
}

fn lock(sessions: &Sessions) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<UdpSocket>>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}
