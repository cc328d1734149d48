//! Asking the process that pulls.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{PullRequest, Pulled};

/// Of what is said on the socket.
pub(super) const VERSION: u32 = 1;

/// What a node asks.
#[derive(Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) request: PullRequest,
}

/// What it is told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    Pulled(Pulled),
    /// Why not, for people.
    Failed(String),
}

/// The pulls of this machine, as a node reaches them.
#[derive(Clone, Debug)]
pub struct Pulls {
    socket: PathBuf,
}

impl Pulls {
    /// Those that [`super::serve_pulls`] serves at this socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Has an image pulled, however long that takes.
    ///
    /// # Errors
    /// Why it was not, for people.
    pub async fn pull(&self, request: PullRequest) -> Result<Pulled, String> {
        match self.ask(request).await {
            Ok(Answer::Pulled(pulled)) => Ok(pulled),
            Ok(Answer::Failed(cause)) => Err(cause),
            Err(error) => {
                let at = self.socket.display();
                Err(format!(
                    "the process that pulls images does not answer at {at} ({error}); see `sealane status`"
                ))
            }
        }
    }

    async fn ask(&self, request: PullRequest) -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let mut text = serde_json::to_vec(&Question { version: VERSION, request })?;
        text.push(b'\n');
        stream.write_all(&text).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
