//! The processes of a cluster: starting one in the background, knowing whether it still lives, ending it.
//!
//! A process is known by its pid *and* its start time, so that a reused pid is never taken for ours.

use crate::cluster::{Cluster, write_atomically};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running process as its record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    pub(crate) started: u64,
}

impl Record {
    /// The record of a live process of that cluster; `None` if it is dead or was never started.
    pub(crate) fn live(path: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        record.is_alive().then_some(record)
    }

    fn of(pid: i32) -> Option<Self> {
        let (_, started) = state_and_start(pid)?;
        Some(Self { pid, started })
    }

    /// True while the process runs; a zombie is dead.
    pub(crate) fn is_alive(self) -> bool {
        state_and_start(self.pid)
            .is_some_and(|(state, started)| state != 'Z' && state != 'X' && started == self.started)
    }

    /// Asks the process to end, and after `grace` ends it. Returns when it is gone.
    pub(crate) fn end(self, grace: Duration) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if !self.is_alive() {
            return;
        }
        for (signal, wait) in [(Signal::TERM, grace), (Signal::KILL, Duration::from_secs(5))] {
            let _ = pidfd_send_signal(&handle, signal);
            if exited_within(&handle, wait) {
                return;
            }
        }
    }
}

fn exited_within(handle: &impl std::os::fd::AsFd, wait: Duration) -> bool {
    let mut fds = [rustix::event::PollFd::new(handle, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec::try_from(wait).ok();
    matches!(rustix::event::poll(&mut fds, timeout.as_ref()), Ok(n) if n > 0)
}

/// State letter and start time out of `/proc/PID/stat`; the name in parentheses may hold anything.
fn state_and_start(pid: i32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// Starts `sealane run PROCESS --name NAME …` in the background, its output in the process's log.
pub(crate) fn spawn(cluster: &Cluster, process: &str, arguments: &[&str]) -> io::Result<Child> {
    let paths = cluster.paths();
    let _ = std::fs::remove_file(paths.failure(process));
    let log = open_log(&paths.log(process))?;
    let child = Command::new(std::env::current_exe()?)
        .arg("run")
        .args(arguments)
        .args(["--name", &cluster.name])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let record = Record::of(pid).ok_or_else(|| io::Error::other(format!("{process} ended at once")))?;
    write_atomically(&paths.process(process), &serde_json::to_vec(&record)?, 0o600)?;
    Ok(child)
}

/// A log grows to this size, then starts anew beside its predecessor.
const LOG_BYTES: u64 = 16 << 20;

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if std::fs::metadata(path).is_ok_and(|m| m.len() > LOG_BYTES) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_process_is_known_and_a_reused_pid_is_not() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let record = Record::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(record.is_alive());
        assert!(!Record { started: record.started + 1, ..record }.is_alive());
        record.end(Duration::from_secs(2));
        assert!(!record.is_alive(), "a zombie counts as dead");
        child.wait().unwrap();
    }
}
