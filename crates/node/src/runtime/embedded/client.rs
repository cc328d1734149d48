//! The agent's side of a shim's socket.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::super::RuntimeError;
use super::super::protocol::{self, Inbox, Request, Response};
use super::super::record::SOCKET;

/// A connection for one request.
pub(super) struct Connection {
    socket: UnixStream,
    inbox: Inbox,
    answers: Vec<OwnedFd>,
}

impl Connection {
    /// Connects to the shim of the Pod with this directory, by the directory's descriptor: a socket's path may have 108
    /// bytes only.
    pub(super) async fn open(pod_dir: &Path) -> io::Result<Self> {
        let dir = File::open(pod_dir)?;
        let socket = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd())).await?;
        Ok(Self { socket, inbox: Inbox::default(), answers: Vec::new() })
    }

    /// Sends a request with its file descriptors and returns the first answer.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Response, RuntimeError> {
        let mut bytes = protocol::preamble();
        bytes.extend(protocol::frame(request));
        let mut fds = fds;
        let mut from = 0;
        while from < bytes.len() {
            let send = || protocol::send(&self.socket, &bytes[from..], fds);
            self.socket.writable().await.map_err(broken)?;
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(n) => {
                    from += n;
                    fds = &[];
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(broken(e)),
            }
        }
        self.next().await
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Result<Response, RuntimeError> {
        loop {
            if let Some(response) = self.inbox.next().map_err(RuntimeError::Protocol)? {
                self.answers.extend(self.inbox.take_fds());
                return Ok(response);
            }
            self.socket.readable().await.map_err(broken)?;
            let receive = || self.inbox.receive(&self.socket);
            match self.socket.try_io(Interest::READABLE, receive) {
                Ok(0) => return Err(RuntimeError::Protocol("it closed the connection".to_owned())),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(broken(e)),
            }
        }
    }

    /// The file descriptors that came with the answers so far.
    pub(super) fn fds(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.answers)
    }
}

/// The error in an answer that is not the one wanted.
pub(super) fn unexpected(response: Response) -> RuntimeError {
    match response {
        Response::Failed { reason, message } if reason.is_empty() => RuntimeError::Protocol(message),
        Response::Failed { reason, message } => RuntimeError::Start { reason, message },
        other => RuntimeError::Protocol(format!("an answer to another question: {other:?}")),
    }
}

fn broken(error: io::Error) -> RuntimeError {
    RuntimeError::io("talking to", "the pod shim")(error)
}
