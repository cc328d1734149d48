//! One container in the shim: its streams, its log, its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use super::super::types::{ContainerConfig, ContainerState, ContainerStatus, ExitStatus};
use super::child::Failure;
use super::log::{Log, Stream};

/// A container that has a record.
pub(super) struct Container {
    pub(super) status: ContainerStatus,
    /// Until its end was recorded.
    pub(super) live: Option<Live>,
}

/// What a container needs while it is created or runs.
pub(super) struct Live {
    /// Reading ends of its output.
    pub(super) outputs: Vec<(Stream, OwnedFd)>,
    /// Writing end of its input.
    pub(super) stdin: Option<OwnedFd>,
    /// Its terminal; kept open, or the container would see a hang-up.
    pub(super) terminal: Option<OwnedFd>,
    pub(super) log: Log,
    /// When it is killed at the latest.
    pub(super) kill_at: Option<Instant>,
    pub(super) stop_signal: i32,
    pub(super) stdin_once: bool,
    /// Locks on the image's layers.
    _layers: Vec<File>,
}

/// What is read from a container at once.
const CHUNK: usize = 32 << 10;

impl Live {
    pub(super) fn new(config: &ContainerConfig, log: Log, layers: Vec<File>) -> Self {
        Self {
            outputs: Vec::new(),
            stdin: None,
            terminal: None,
            log,
            kill_at: None,
            stop_signal: signal_number(&config.image.stop_signal),
            stdin_once: config.stdin_once,
            _layers: layers,
        }
    }

    /// Reads one output once and logs it; what was read, or `None` at its end (the output is dropped then).
    pub(super) fn read(&mut self, stream: Stream, now: Timestamp) -> Option<Vec<u8>> {
        let at = self.outputs.iter().position(|(s, _)| *s == stream)?;
        let mut buffer = vec![0; CHUNK];
        match rustix::io::read(self.outputs[at].1.as_fd(), &mut buffer) {
            Ok(n) if n > 0 => {
                buffer.truncate(n);
                self.log.write(stream, &buffer, now);
                Some(buffer)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Some(Vec::new()),
            // A terminal says EIO when the last process has closed it.
            _ => {
                self.outputs.remove(at);
                None
            }
        }
    }
}

impl Container {
    /// Its first process, while it runs.
    pub(super) fn pid(&self) -> Option<Pid> {
        (self.status.state == ContainerState::Running).then(|| Pid::from_raw(self.status.pid))?
    }

    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        let pid = self.pid().ok_or_else(|| io::Error::other("it does not run"))?;
        let signal = named(signal).ok_or_else(|| io::Error::other(format!("{signal} is no signal")))?;
        Ok(kill_process(pid, signal)?)
    }

    pub(super) fn started(&mut self, pid: i32, now: Timestamp) {
        self.status.state = ContainerState::Running;
        self.status.pid = pid;
        self.status.started_at = Some(now);
    }

    pub(super) fn failed(&mut self, failure: &Failure, now: Timestamp) {
        let status = &mut self.status;
        status.state = ContainerState::Exited;
        status.pid = 0;
        (status.started_at, status.finished_at) = (Some(now), Some(now));
        status.exit_code = failure.exit_code;
        status.reason.clone_from(&failure.reason);
        status.message.clone_from(&failure.message);
    }

    pub(super) fn exited(&mut self, how: ExitStatus, oom_killed: bool, now: Timestamp) {
        let status = &mut self.status;
        status.state = ContainerState::Exited;
        status.pid = 0;
        status.finished_at = Some(now);
        (status.exit_code, status.signal) = (how.exit_code, how.signal);
        let killed = how.signal == 9 || how.exit_code == 137;
        status.reason = match how.exit_code {
            0 => "Completed",
            _ if killed && oom_killed => "OOMKilled",
            _ => "Error",
        }
        .to_owned();
    }
}

/// What the kernel says about a process' end.
pub(super) fn exit_status(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(exit_code), _) => ExitStatus { exit_code, signal: 0 },
        (None, Some(signal)) => ExitStatus { exit_code: 128 + signal, signal },
        (None, None) => ExitStatus { exit_code: 255, signal: 0 },
    }
}

/// A signal by its number, real-time ones too.
#[allow(unsafe_code)] // The range is checked; which numbers libc keeps for itself does not matter for sending.
fn named(signal: i32) -> Option<Signal> {
    match signal {
        1..=31 => Signal::from_named_raw(signal),
        32..=64 => Some(unsafe { Signal::from_raw_unchecked(signal) }),
        _ => None,
    }
}

/// `SIGTERM`, `TERM` or `15`; anything else counts as SIGTERM.
fn signal_number(name: &str) -> i32 {
    let name = name.trim().to_ascii_uppercase();
    if let Ok(number) = name.parse::<i32>() {
        return if (1..=64).contains(&number) { number } else { libc::SIGTERM };
    }
    match name.trim_start_matches("SIG") {
        "HUP" => libc::SIGHUP,
        "INT" => libc::SIGINT,
        "QUIT" => libc::SIGQUIT,
        "KILL" => libc::SIGKILL,
        "USR1" => libc::SIGUSR1,
        "USR2" => libc::SIGUSR2,
        "WINCH" => libc::SIGWINCH,
        "RTMIN+3" => 37,
        _ => libc::SIGTERM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_signals() {
        for (name, number) in
            [("", 15), ("SIGQUIT", 3), ("winch", 28), ("9", 9), ("SIGRTMIN+3", 37), ("99", 15)]
        {
            assert_eq!(signal_number(name), number, "{name}");
        }
        assert!(named(0).is_none() && named(65).is_none() && named(37).is_some());
    }
}
