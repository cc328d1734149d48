//! Queries over UDP: a thread a socket, which takes what has come in one system call and answers it in another.

use super::Shared;
use super::batch::Batch;
use crate::Error;
use crate::answer::{Elsewhere, Outcome, Transport, answer, relay};
use crate::forward::Resolved;
use rustix::net::{Shutdown, shutdown};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Answering needs little, and no thread of ours may weigh much.
const STACK: usize = 256 << 10;
/// After receiving failed, for instance because the system has no memory.
const PAUSE: Duration = Duration::from_millis(10);

/// Starts the threads; what is returned ends when they have, after shutdown. They end as well if it is dropped.
pub(super) fn serve_all(
    sockets: Vec<UdpSocket>,
    shared: &Shared,
) -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let sockets = sockets.into_iter().map(Arc::new).collect();
    let served = Served { sockets, shutdown: shared.shutdown.clone() };
    let mut threads = Vec::new();
    for (number, socket) in served.sockets.iter().enumerate() {
        let (socket, shared) = (socket.clone(), shared.clone());
        let thread = std::thread::Builder::new().name(format!("dns-udp-{number}")).stack_size(STACK);
        threads.push(thread.spawn(move || serve(&socket, number, &shared)).map_err(Error::Thread)?);
    }
    let stopping = shared.shutdown.clone();
    Ok(async move {
        stopping.cancelled().await;
        drop(served);
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|one| drop(one.join())));
        let _ = joined.await;
    })
}

/// The sockets that threads block on; when it goes, so do they. A thread that stayed behind would go on to answer a
/// part of the queries of whoever binds its address next: the sockets of an address share its load.
struct Served {
    sockets: Vec<Arc<UdpSocket>>,
    shutdown: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
        for socket in &self.sockets {
            // Wakes the thread, though it says that the socket is not connected.
            let _ = shutdown(socket, Shutdown::Read);
        }
    }
}

/// Answers until shutdown. `number` is this thread's, and where it begins to rotate answers.
fn serve(socket: &Arc<UdpSocket>, number: usize, shared: &Shared) {
    let (mut batch, mut turn) = (Batch::new(), number);
    // The first is that of TCP.
    let counters = shared.metrics.shard(number + 1);
    let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
    while !shared.shutdown.is_cancelled() {
        let received = match batch.receive(socket) {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "receiving queries failed");
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        let zone = shared.zone.load();
        for index in 0..received {
            turn = turn.wrapping_add(1);
            let (packet, message) = batch.exchange(index);
            let answered = match answer(&zone, packet, Transport::Udp, turn, message) {
                Outcome::Ignored => None,
                Outcome::Answered(answered) => Some(answered),
                Outcome::Elsewhere(elsewhere) => match at_hand(shared, &elsewhere) {
                    Some(resolved) => relay(packet, &elsewhere, &resolved, Transport::Udp, message),
                    None => {
                        answer_later(shared, socket, batch.client(index), batch.exchange(index).0, elsewhere);
                        None
                    }
                },
            };
            match answered {
                Some(answered) => counters.count(Transport::Udp, v6, answered),
                None => batch.exchange(index).1.clear(),
            }
        }
        drop(zone);
        batch.send(socket);
    }
}

fn at_hand(shared: &Shared, elsewhere: &Elsewhere) -> Option<Resolved> {
    let Some(forwarder) = &shared.forwarder else { return Some(Resolved::Refused) };
    forwarder.at_hand(&elsewhere.question)
}

/// Answers one client when upstreams have; other clients do not wait for that.
fn answer_later(
    shared: &Shared,
    socket: &Arc<UdpSocket>,
    client: io::Result<SocketAddr>,
    packet: &[u8],
    elsewhere: Elsewhere,
) {
    let (Some(forwarder), Ok(client)) = (shared.forwarder.clone(), client) else { return };
    let (shared, socket, packet) = (shared.clone(), socket.clone(), packet.to_vec());
    forwarder.runtime().clone().spawn(async move {
        let (resolved, mut message) = (forwarder.resolve(&elsewhere.question).await, Vec::new());
        let Some(answered) = relay(&packet, &elsewhere, &resolved, Transport::Udp, &mut message) else {
            return;
        };
        shared.metrics.shard(0).count(Transport::Udp, client.is_ipv6(), answered);
        // Sending to a client blocks no longer than copying takes.
        if let Err(error) = socket.send_to(&message, client) {
            tracing::debug!(%client, %error, "an answer could not be sent");
        }
    });
}
