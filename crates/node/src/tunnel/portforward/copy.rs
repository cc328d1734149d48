//! Moving the bytes of one forwarded connection.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// How long what the client still says is taken after the Pod has said all. Old clients say nothing more before they are told
/// that it is over.
const GRACE: Duration = Duration::from_millis(500);

/// Where the Pod's bytes go.
pub(super) trait Sink {
    /// Sends some; false when nobody takes them any more.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = bool> + Send;
    /// The Pod has said all.
    fn end(&mut self) -> impl Future<Output = ()> + Send;
}

/// Copies both ways until the Pod has said all, or nobody listens. A Pod that breaks the connection has said all.
pub(super) async fn copy(stream: TcpStream, input: mpsc::Receiver<Bytes>, mut output: impl Sink) {
    let (from_pod, to_pod) = stream.into_split();
    let mut upstream = std::pin::pin!(upstream(input, to_pod));
    let mut downstream = std::pin::pin!(downstream(from_pod, &mut output));
    tokio::select! {
        () = &mut downstream => {
            let _ = tokio::time::timeout(GRACE, upstream).await;
        }
        // The client has said all: the Pod may take its time to answer.
        () = &mut upstream => downstream.await,
    }
}

async fn upstream(mut input: mpsc::Receiver<Bytes>, mut to_pod: OwnedWriteHalf) {
    while let Some(bytes) = input.recv().await {
        if to_pod.write_all(&bytes).await.is_err() {
            // The other direction ends, too, once it is read out.
            return;
        }
    }
    let _ = to_pod.shutdown().await;
}

async fn downstream(mut from_pod: OwnedReadHalf, output: &mut impl Sink) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
        if !output.send(&buffer[..count]).await {
            return;
        }
    }
    output.end().await;
}
