//! What becomes of containers and of commands in them: started, read, ended, recorded, told.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::WaitStatus;

use super::super::protocol::Response;
use super::super::record;
use super::super::types::ContainerState;
use super::child::Outcome;
use super::clients::Waits;
use super::container::exit_status;
use super::log::Stream;
use super::server::Shim;

/// Groups that were just left are busy for a moment.
const CGROUP_PATIENCE: Duration = Duration::from_millis(50);

impl Shim {
    pub(super) fn container_started(&mut self, key: &str, client: u64, outcome: Outcome) {
        let now = Timestamp::now();
        let ended = outcome.pid.and_then(|pid| self.strays.remove(&pid));
        let Some(container) = self.containers.get_mut(key) else { return };
        if let Some(failure) = &outcome.failure {
            container.failed(failure, now);
            self.finish(key);
            let (reason, message) = (failure.reason.clone(), failure.message.clone());
            self.clients.send(client, &Response::Failed { reason, message }, &[]);
            return;
        }
        container.started(outcome.pid.unwrap_or(0), now);
        if let (Some(live), Some(terminal)) = (&mut container.live, outcome.terminal) {
            let _ = rustix::io::ioctl_fionbio(&terminal, true);
            if let Ok(reader) = terminal.try_clone() {
                live.outputs.push((Stream::Stdout, reader));
            }
            live.terminal = Some(terminal);
        }
        self.publish(key, Some(client));
        if let Some(status) = ended {
            self.container_ended(key, status);
        }
    }

    pub(super) fn command_started(&mut self, client: u64, terminal: Option<OwnedFd>, outcome: &Outcome) {
        if let Some(failure) = &outcome.failure {
            let (reason, message) = (failure.reason.clone(), failure.message.clone());
            self.clients.send(client, &Response::Failed { reason, message }, &[]);
            return;
        }
        let pid = outcome.pid.unwrap_or(0);
        let fds: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
        self.clients.send(client, &Response::Executing { pid }, &fds);
        match self.strays.remove(&pid) {
            Some(status) => self.clients.send(client, &Response::Exited(exit_status(status)), &[]),
            None => drop(self.execs.insert(pid, client)),
        }
    }

    /// Reads an output once; whether there may be more.
    pub(super) fn take_output(&mut self, key: &str, stream: Stream) -> bool {
        let Some(live) = self.containers.get_mut(key).and_then(|c| c.live.as_mut()) else { return false };
        let Some(bytes) = live.read(stream, Timestamp::now()) else { return false };
        self.sinks.retain_mut(|s| s.container != key || s.stream != stream || s.write(&bytes));
        !bytes.is_empty()
    }

    pub(super) fn container_ended(&mut self, key: &str, status: WaitStatus) {
        // Everything in its PID namespace is dead, so what is there now is all that there will be.
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.take_output(key, stream) {}
        }
        let group = self.cgroup(key);
        let oom_killed = self.hierarchies.oom_kills(&group) > 0;
        if let Some(container) = self.containers.get_mut(key) {
            container.exited(exit_status(status), oom_killed, Timestamp::now());
        }
        self.finish(key);
    }

    /// After the end of a container: its log, its cgroup, its record, and all who wait for it.
    fn finish(&mut self, key: &str) {
        if let Some(mut live) = self.containers.get_mut(key).and_then(|c| c.live.take()) {
            live.log.finish(Timestamp::now());
        }
        // If it is still busy, it goes with the Pod's.
        drop(self.hierarchies.remove(&self.cgroup(key), CGROUP_PATIENCE));
        self.sinks.iter_mut().filter(|s| s.container == key).for_each(|s| s.last = true);
        self.sinks.retain_mut(|s| !s.last || s.write(&[]));
        self.publish(key, None);
    }

    /// Records a container's status and tells it to those who wait for it.
    pub(super) fn publish(&mut self, key: &str, client: Option<u64>) {
        let Some(container) = self.containers.get(key) else { return };
        let status = container.status.clone();
        if let Err(e) = record::write_status(&self.config.dir, &status) {
            complain(&format!("recording the status of {key}: {e}"));
        }
        let mut to = self.clients.waiting(&Waits::Events);
        to.extend(client);
        if status.state == ContainerState::Exited {
            to.extend(self.clients.waiting(&Waits::Exit(key.to_owned())));
        }
        let response = Response::Container(Box::new(status));
        to.iter().for_each(|id| self.clients.send(*id, &response, &[]));
    }
}

/// Into `shim.log`.
#[allow(clippy::print_stderr)]
fn complain(message: &str) {
    eprintln!("{} {message}", Timestamp::now());
}
