//! The socket on which nodes ask for images: a line of JSON each way a connection.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Question, VERSION};
use super::{PullError, Puller};

/// More than any request takes.
const LIMIT: u64 = 1 << 20;

/// Serves pulls at `socket` until `shutdown`.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve_pulls(
    puller: Puller,
    socket: &Path,
    shutdown: CancellationToken,
) -> Result<(), PullError> {
    // What a crash left.
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(PullError::io("removing", socket)(e));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(PullError::io("listening on", socket))?;
    // Requests carry passwords of registries.
    let only_root = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(socket, only_root).map_err(PullError::io("protecting", socket))?;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(answer(puller.clone(), stream))),
            // Out of descriptors, most likely: wait until some are free again.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    Ok(())
}

async fn answer(puller: Puller, mut stream: UnixStream) {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    if BufReader::new(read.take(LIMIT)).read_line(&mut line).await.is_err() {
        return;
    }
    let answer = match serde_json::from_str::<Question>(&line) {
        Ok(question) if question.version == VERSION => match puller.pull(question.request).await {
            Ok(pulled) => Answer::Pulled(pulled),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Ok(question) => {
            Answer::Failed(format!("version {} of the protocol is not spoken here", question.version))
        }
        Err(error) => Answer::Failed(format!("no request: {error}")),
    };
    let mut text = serde_json::to_vec(&answer).expect("plain data");
    text.push(b'\n');
    // Who asked may be gone.
    let _ = write.write_all(&text).await;
}
