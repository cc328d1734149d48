//! Streams of processes in containers as asynchronous readers and writers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::super::types::{ExitStatus, TerminalSize};
use super::super::{Exec, RuntimeError, Streams};

/// The process' ends of its pipes, in order.
#[derive(Default)]
pub(super) struct Theirs(Vec<OwnedFd>);

impl Theirs {
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd).collect()
    }
}

/// Pipes for the streams that are wanted.
pub(super) fn pipes(stdin: bool, stdout: bool, stderr: bool) -> Result<(Streams, Theirs), RuntimeError> {
    make(stdin, stdout, stderr).map_err(RuntimeError::io("making", "pipes"))
}

fn make(stdin: bool, stdout: bool, stderr: bool) -> io::Result<(Streams, Theirs)> {
    let (mut streams, mut theirs) = (Streams::default(), Theirs::default());
    if stdin {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        theirs.0.push(read);
        streams.stdin = Some(Box::new(sender(write)?));
    }
    for (wanted, place) in [(stdout, &mut streams.stdout), (stderr, &mut streams.stderr)] {
        if wanted {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            theirs.0.push(write);
            rustix::io::ioctl_fionbio(&read, true)?;
            *place = Some(Box::new(Receiver::from_owned_fd(read)?));
        }
    }
    Ok((streams, theirs))
}

fn sender(write: OwnedFd) -> io::Result<Sender> {
    rustix::io::ioctl_fionbio(&write, true)?;
    Sender::from_owned_fd(write)
}

impl Streams {
    /// Takes the terminal that came for a command.
    pub(super) fn take_terminal(
        &mut self,
        fds: Vec<OwnedFd>,
        stdin: bool,
        stdout: bool,
    ) -> Result<(), RuntimeError> {
        let Some(master) = fds.into_iter().next() else { return Ok(()) };
        let wire = || -> io::Result<_> {
            rustix::io::ioctl_fionbio(&master, true)?;
            Ok((Terminal::new(master.try_clone()?)?, Terminal::new(master.try_clone()?)?))
        };
        let (reader, writer) = wire().map_err(RuntimeError::io("opening", "the terminal"))?;
        self.stdout = stdout.then(|| Box::new(reader) as Box<_>);
        self.stdin = stdin.then(|| Box::new(writer) as Box<_>);
        self.terminal = Some(master);
        Ok(())
    }

    /// Takes what came for an attachment: the container's terminal or the writing end of its input.
    pub(super) fn take_input(&mut self, fds: Vec<OwnedFd>, stdin: bool) -> Result<(), RuntimeError> {
        let Some(input) = fds.into_iter().next() else { return Ok(()) };
        if rustix::termios::isatty(&input) {
            // The shim reads the terminal, for the log; its output comes through the pipe.
            let stdout = self.stdout.take();
            self.take_terminal(vec![input], stdin, false)?;
            self.stdout = stdout;
        } else if stdin {
            let sender = sender(input).map_err(RuntimeError::io("opening", "the container's input"))?;
            self.stdin = Some(Box::new(sender));
        }
        Ok(())
    }

    /// Tells the process how large its terminal is; nothing happens if it has none.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(terminal, size)?)
    }

    /// The terminal, to resize it while the streams are used elsewhere.
    pub fn take_resizer(&mut self) -> Streams {
        Streams { terminal: self.terminal.take(), ..Streams::default() }
    }
}

impl Exec {
    /// Waits until the process has ended. Its output may still be in the streams.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn wait(&mut self) -> Result<ExitStatus, RuntimeError> {
        (&mut self.exited).await
    }

    /// Kills the process.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn kill(&self) -> Result<(), RuntimeError> {
        (self.kill)().await
    }
}

/// One direction of a terminal's keeping end.
struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    #[allow(unsafe_code)] // The descriptor is owned by what is registered, and never replaced.
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(unsafe { AsyncFd::register(fd) }?))
    }
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::read(fd, buffer.initialize_unfilled())?)) {
                Ok(Ok(n)) => {
                    buffer.advance(n);
                    return Poll::Ready(Ok(()));
                }
                // The last process has closed it: the end.
                Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
