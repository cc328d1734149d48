//! Accepting connections, so many at once.

use super::Shared;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// After accepting failed, for instance because all file descriptors are in use.
const PAUSE: Duration = Duration::from_millis(50);

/// Gives every connection a task that runs `converse`, until shutdown. Above `most` at once, clients wait for one to end.
pub(super) async fn accept<F>(
    listener: TcpListener,
    most: usize,
    shared: Shared,
    converse: impl Fn(TcpStream, SocketAddr, Shared) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(most));
    loop {
        let next = async {
            let permit = free.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = shared.shutdown.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, client)) => {
                let shutdown = shared.shutdown.clone();
                let conversation = converse(stream, client, shared.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    shutdown.run_until_cancelled(conversation).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
