//! Forked children and what they report: through a socket pair whose end means that the command was executed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::process::Pid;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::{Deserialize, Serialize};

use super::super::protocol::{self, Inbox};

/// From a child that creates a container or runs a command in one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The process that will execute the command, as the shim sees it; with its terminal, if it has one.
    Process(i32),
    /// It could not be started.
    Failed(Failure),
}

/// Why a command could not be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) exit_code: i32,
}

impl Failure {
    /// The configuration can't be fulfilled.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self { reason: "CreateContainerConfigError".into(), message: message.into(), exit_code: 128 }
    }

    /// The container could not be made.
    pub(super) fn create(message: impl Into<String>) -> Self {
        Self { reason: "CreateContainerError".into(), message: message.into(), exit_code: 128 }
    }

    /// The command could not be executed.
    pub(super) fn command(program: &str, error: &io::Error) -> Self {
        let (exit_code, why) = match error.kind() {
            io::ErrorKind::NotFound if program.contains('/') => {
                (127, format!("stat {program}: no such file or directory"))
            }
            io::ErrorKind::NotFound => (127, "executable file not found in $PATH".to_owned()),
            io::ErrorKind::PermissionDenied => (126, "permission denied".to_owned()),
            _ => (128, error.to_string()),
        };
        Self { reason: "ContainerCannotRun".into(), message: format!("exec: {program:?}: {why}"), exit_code }
    }
}

/// Where a child reports to.
pub(super) struct Reporter(pub(super) UnixStream);

impl Reporter {
    pub(super) fn process(&self, pid: i32, terminal: Option<BorrowedFd<'_>>) {
        let fds: Vec<BorrowedFd<'_>> = terminal.into_iter().collect();
        // If this fails the shim sees the end of the stream and says that the child died.
        drop(protocol::send(&self.0, &protocol::frame(&Report::Process(pid)), &fds));
    }

    pub(super) fn failed(&self, failure: Failure) {
        drop(protocol::send(&self.0, &protocol::frame(&Report::Failed(failure)), &[]));
    }
}

/// What came from a child, in the shim.
pub(super) struct Reports {
    socket: UnixStream,
    inbox: Inbox,
}

/// Everything that a child said.
pub(super) struct Outcome {
    pub(super) pid: Option<i32>,
    pub(super) failure: Option<Failure>,
    pub(super) terminal: Option<OwnedFd>,
}

impl Reports {
    /// A pair for a child about to be forked.
    pub(super) fn pair() -> io::Result<(Self, Reporter)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { socket: ours, inbox: Inbox::greeted() }, Reporter(theirs)))
    }

    /// Reads what is there; the outcome, once the child and its command's start are through.
    pub(super) fn read(&mut self) -> Option<Outcome> {
        loop {
            match self.inbox.receive(&self.socket) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let mut outcome = Outcome { pid: None, failure: None, terminal: self.inbox.take_fds().pop() };
        while let Ok(Some(report)) = self.inbox.next() {
            match report {
                Report::Process(pid) => outcome.pid = Some(pid),
                Report::Failed(failure) => outcome.failure = outcome.failure.or(Some(failure)),
            }
        }
        if outcome.pid.is_none() && outcome.failure.is_none() {
            outcome.failure = Some(Failure::create("the process that was to start it died"));
        }
        Some(outcome)
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Forks; the child runs `body` and exits with its result. Only for a process with one thread.
pub(super) fn fork(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    #[allow(unsafe_code)] // The process has one thread, so the child may do all that the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            std::process::exit(code)
        }
        pid => Ok(Pid::from_raw(pid).expect("fork returned a child's pid")),
    }
}

/// Leaves namespaces for new ones.
///
/// # Errors
/// The system call's.
#[allow(unsafe_code)] // It is unsafe for `UnshareFlags::FILES` only, which nobody here uses.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES), "the table of descriptors stays");
    Ok(unsafe { unshare_unsafe(namespaces) }?)
}
