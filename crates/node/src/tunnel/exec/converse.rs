//! Between a process and its client, whatever protocol the client speaks.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::frames;
use crate::runtime::{ExitStatus, Streams, TerminalSize};

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// For the process' standard input.
    Stdin(Bytes),
    /// The terminal has another size.
    Resize(TerminalSize),
    /// The standard input is at its end.
    CloseStdin,
}

/// Where something for the client belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Output of the process.
    Stdout = 1,
    /// Its errors.
    Stderr = 2,
    /// How it ended, a Status.
    Status = 3,
}

/// A client's ends.
pub(super) struct Client {
    /// What it says; ends when it is gone.
    pub(super) said: mpsc::Receiver<Said>,
    /// What it is told; dropping it ends the connection when all is sent.
    pub(super) tell: mpsc::Sender<(Channel, Bytes)>,
}

/// How many pieces may wait each way.
const QUEUE: usize = 16;

/// The other ends of a client.
pub(super) struct Ends {
    pub(super) said: mpsc::Sender<Said>,
    pub(super) told: mpsc::Receiver<(Channel, Bytes)>,
}

impl Client {
    pub(super) fn new() -> (Self, Ends) {
        let ((says, said), (tell, told)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        (Self { said, tell }, Ends { said: says, told })
    }
}

/// Says why there is no process.
pub(super) async fn refuse(client: Client, why: String) {
    let _ = client.tell.send((Channel::Status, frames::exit(&Err(why)))).await;
}

/// Moves bytes until the process has ended and everything it wrote is sent, then says how it ended.
pub(super) async fn converse(
    client: Client,
    mut streams: Streams,
    exited: impl Future<Output = Result<ExitStatus, String>>,
) {
    let Client { said, tell } = client;
    // Only the terminal is in it, which needs no lock; but it is of a type that is not shared between threads.
    let resizer = std::sync::Mutex::new(streams.take_resizer());
    let resize = |size| {
        let resizer = resizer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = resizer.resize(size) {
            tracing::debug!(%error, "cannot resize a terminal");
        }
    };
    let inputs = listen(said, streams.stdin.take(), resize);
    let outputs = async {
        let out = copy(streams.stdout.take(), Channel::Stdout, &tell);
        let err = copy(streams.stderr.take(), Channel::Stderr, &tell);
        tokio::join!(out, err);
        exited.await
    };
    tokio::select! {
        result = outputs => {
            let _ = tell.send((Channel::Status, frames::exit(&result))).await;
        }
        // The client left. Its process gets the end of its input, and a hang-up if it has a terminal.
        () = inputs => {}
    }
}

async fn copy(
    from: Option<Box<dyn AsyncRead + Send + Unpin>>,
    channel: Channel,
    to: &mpsc::Sender<(Channel, Bytes)>,
) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 32 * 1024];
    // A terminal whose process ended answers with an error: that is its end.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.send((channel, Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
            return;
        }
    }
}

/// Returns when the client is gone.
async fn listen(
    mut said: mpsc::Receiver<Said>,
    mut stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: impl Fn(TerminalSize),
) {
    while let Some(said) = said.recv().await {
        match said {
            Said::Stdin(bytes) => {
                if let Some(to) = stdin.as_mut()
                    && (to.write_all(&bytes).await.is_err() || to.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            Said::Resize(size) => resize(size),
            Said::CloseStdin => stdin = None,
        }
    }
}
