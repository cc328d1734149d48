//! Queries over UDP.

use super::Shared;
use crate::answer::{Transport, answer};
use std::io;
use tokio::net::UdpSocket;

/// Queries are small; a longer packet is cut off here and then malformed.
const LONGEST_QUERY: usize = 4_096;
/// So many packets until other tasks get their turn.
const BURST: usize = 64;

/// Answers until shutdown. `turn` is where this socket begins to rotate answers.
pub(super) async fn serve(socket: UdpSocket, turn: usize, shared: Shared) {
    let (mut packet, mut message, mut turn) =
        (vec![0; LONGEST_QUERY], Vec::with_capacity(LONGEST_QUERY), turn);
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            _ = socket.readable() => {}
        }
        for _ in 0..BURST {
            match socket.try_recv_from(&mut packet) {
                Ok((length, client)) => {
                    turn = turn.wrapping_add(1);
                    let zone = shared.zone.load();
                    let Some(answered) = answer(&zone, &packet[..length], Transport::Udp, turn, &mut message)
                    else {
                        continue;
                    };
                    shared.metrics.count(Transport::Udp, client.is_ipv6(), answered);
                    // A full send buffer drops an answer, as the network might; the client asks again.
                    if let Err(error) = socket.try_send_to(&message, client) {
                        tracing::debug!(%client, %error, "an answer could not be sent");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::debug!(%error, "receiving a query failed");
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}
