//! Queries over TCP (RFC 7766): several on a connection, each answered in turn.

use super::{Shared, accept::accept};
use crate::answer::{Outcome, Transport, answer, relay};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// So many connections at once; a further one waits until one ends, which takes [`IDLE`] at most.
const CONNECTIONS: usize = 256;
/// All connections count in one place; UDP's threads follow.
const TCP_SHARD: usize = 0;
/// How long a client may take for its next query, or for taking an answer.
const IDLE: Duration = Duration::from_secs(10);

/// Accepts until shutdown.
pub(super) async fn serve(listener: TcpListener, shared: Shared) {
    accept(listener, CONNECTIONS, shared, |stream, client, shared| async move {
        if let Err(error) = converse(stream, client, &shared).await {
            tracing::debug!(%client, %error, "a connection ended");
        }
    })
    .await;
}

/// One client: a length and a message, over and over.
async fn converse(mut stream: TcpStream, client: SocketAddr, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut packet, mut message, mut framed, mut turn) = (Vec::new(), Vec::new(), Vec::new(), 0_usize);
    loop {
        let length = match timeout(IDLE, stream.read_u16()).await? {
            Ok(length) => usize::from(length),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        packet.resize(length, 0);
        timeout(IDLE, stream.read_exact(&mut packet)).await??;
        turn = turn.wrapping_add(usize::from(client.port()));
        // Not across an await: a slow client must not keep an old zone alive.
        let outcome = answer(&shared.zone.load(), &packet, Transport::Tcp, turn, &mut message);
        let answered = match outcome {
            Outcome::Ignored => None,
            Outcome::Answered(answered) => Some(answered),
            Outcome::Elsewhere(elsewhere) => {
                let resolved = shared.resolve(&elsewhere).await;
                relay(&packet, &elsewhere, &resolved, Transport::Tcp, &mut message)
            }
        };
        let Some(answered) = answered else { return Ok(()) };
        shared.metrics.shard(TCP_SHARD).count(Transport::Tcp, client.is_ipv6(), answered);
        framed.clear();
        framed.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
        framed.extend_from_slice(&message);
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
