//! The shim's loop: one `poll` over everything that can happen.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::super::cgroup::Hierarchies;
use super::super::protocol::Response;
use super::super::record;
use super::super::types::{ContainerState, SandboxConfig};
use super::child::Reports;
use super::clients::{Clients, Sink};
use super::container::{Container, exit_status};
use super::log::Stream;

/// The supervisor of one Pod.
pub(super) struct Shim {
    pub(super) config: SandboxConfig,
    pub(super) clients: Clients,
    /// By key, `NAME.ATTEMPT`.
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) sinks: Vec<Sink>,
    pub(super) starts: Vec<Start>,
    pub(super) hierarchies: Hierarchies,
    /// Asked to end: nothing starts any more.
    pub(super) ending: bool,
    listener: UnixListener,
    signals: OwnedFd,
    /// Commands in containers, and who waits for their end.
    pub(super) execs: BTreeMap<i32, u64>,
    /// Processes that ended before it was known what they are.
    pub(super) strays: BTreeMap<i32, WaitStatus>,
}

/// A child that is to start something.
pub(super) struct Start {
    pub(super) reports: Reports,
    pub(super) client: u64,
    pub(super) of: StartOf,
}

pub(super) enum StartOf {
    /// The container with this key.
    Container(String),
    /// A command, with the caller's end of its terminal.
    Command(Option<OwnedFd>),
}

enum Ready {
    Listener,
    Signals,
    Client(u64),
    Unsent(u64),
    Start,
    Output(String, Stream),
    Sinks,
}

impl Shim {
    pub(super) fn new(
        config: SandboxConfig,
        listener: UnixListener,
        signals: OwnedFd,
    ) -> std::io::Result<Self> {
        let old = record::read_statuses(&config.dir).into_iter();
        let containers = old
            .map(|status| (record::key(&status.id.name, status.id.attempt), Container { status, live: None }))
            .collect();
        Ok(Self {
            config,
            clients: Clients::default(),
            containers,
            sinks: Vec::new(),
            starts: Vec::new(),
            hierarchies: Hierarchies::of_this_machine(),
            ending: false,
            listener,
            signals,
            execs: BTreeMap::new(),
            strays: BTreeMap::new(),
        })
    }

    /// Runs until the shim was asked to end and nothing is left to supervise.
    pub(super) fn run(mut self) {
        while !(self.ending && self.starts.is_empty() && self.containers.values().all(|c| c.live.is_none())) {
            for ready in self.wait() {
                self.handle(ready);
            }
            self.kill_overdue();
        }
        drop(std::fs::remove_file(self.config.dir.join(record::SOCKET)));
    }

    fn wait(&mut self) -> Vec<Ready> {
        let timeout = self.next_kill().map(|at| {
            let rest = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec::try_from(rest).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
        });
        let mut what = vec![Ready::Listener, Ready::Signals];
        let mut fds =
            vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        for (id, client) in self.clients.iter() {
            what.push(Ready::Client(id));
            fds.push(PollFd::new(&client.socket, PollFlags::IN));
            if client.has_unsent() {
                what.push(Ready::Unsent(id));
                fds.push(PollFd::new(&client.socket, PollFlags::OUT));
            }
        }
        for start in &self.starts {
            what.push(Ready::Start);
            fds.push(PollFd::new(&start.reports, PollFlags::IN));
        }
        for (key, container) in &self.containers {
            for (stream, fd) in container.live.iter().flat_map(|l| &l.outputs) {
                what.push(Ready::Output(key.clone(), *stream));
                fds.push(PollFd::new(fd, PollFlags::IN));
            }
        }
        for sink in self.sinks.iter().filter(|s| s.has_pending()) {
            what.push(Ready::Sinks);
            fds.push(PollFd::new(sink, PollFlags::OUT));
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        what.into_iter().zip(happened).filter(|(_, h)| *h).map(|(r, _)| r).collect()
    }

    fn handle(&mut self, ready: Ready) {
        match ready {
            Ready::Listener => {
                while let Ok((socket, _)) = self.listener.accept() {
                    self.clients.add(socket);
                }
            }
            Ready::Signals => self.take_signals(),
            Ready::Client(id) => {
                for (request, fds) in self.clients.receive(id) {
                    self.answer(id, request, fds);
                }
            }
            Ready::Unsent(id) => self.clients.flush(id),
            Ready::Start => self.take_reports(),
            Ready::Output(key, stream) => drop(self.take_output(&key, stream)),
            Ready::Sinks => self.sinks.retain_mut(|s| !s.has_pending() || s.write(&[])),
        }
    }

    fn take_signals(&mut self) {
        let mut buffer = [0; 128];
        while let Ok(n) = rustix::io::read(&self.signals, &mut buffer) {
            // The number comes first.
            let number = buffer.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b));
            if n > 0 && (number == libc::SIGTERM || number == libc::SIGINT) {
                self.end();
            }
        }
        // What a child reported before its end is known before its end.
        self.take_reports();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            self.ended(pid.as_raw_nonzero().get(), status);
        }
        if self.starts.is_empty() {
            self.strays.clear();
        }
    }

    fn ended(&mut self, pid: i32, status: WaitStatus) {
        let running = |c: &&Container| c.status.state == ContainerState::Running && c.status.pid == pid;
        let container = self.containers.values().find(running);
        if let Some(key) = container.map(|c| record::key(&c.status.id.name, c.status.id.attempt)) {
            self.container_ended(&key, status);
        } else if let Some(client) = self.execs.remove(&pid) {
            self.clients.send(client, &Response::Exited(exit_status(status)), &[]);
        } else {
            self.strays.insert(pid, status);
        }
    }

    fn take_reports(&mut self) {
        let mut n = 0;
        while n < self.starts.len() {
            match self.starts[n].reports.read() {
                None => n += 1,
                Some(outcome) => {
                    let start = self.starts.remove(n);
                    match start.of {
                        StartOf::Container(key) => self.container_started(&key, start.client, outcome),
                        StartOf::Command(terminal) => self.command_started(start.client, terminal, &outcome),
                    }
                }
            }
        }
    }

    /// Whether this is a command in a container that was not waited for yet.
    pub(super) fn is_command(&self, pid: i32) -> bool {
        self.execs.contains_key(&pid)
    }

    /// The container's own cgroup.
    pub(super) fn cgroup(&self, key: &str) -> String {
        format!("{}/{key}", self.config.cgroup_parent)
    }

    /// Kills everything and lets the loop end.
    pub(super) fn end(&mut self) {
        self.ending = true;
        let now = Instant::now();
        self.containers.values_mut().filter_map(|c| c.live.as_mut()).for_each(|l| l.kill_at = Some(now));
    }

    fn next_kill(&self) -> Option<Instant> {
        let running = self.containers.values().filter(|c| c.pid().is_some());
        running.filter_map(|c| c.live.as_ref()?.kill_at).min()
    }

    fn kill_overdue(&mut self) {
        let now = Instant::now();
        for container in self.containers.values_mut().filter(|c| c.pid().is_some()) {
            if container.live.as_ref().and_then(|l| l.kill_at).is_some_and(|at| at <= now) {
                drop(container.signal(libc::SIGKILL));
                if let Some(live) = &mut container.live {
                    live.kill_at = None;
                }
            }
        }
    }
}
