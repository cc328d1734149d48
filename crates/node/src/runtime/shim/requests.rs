//! What the shim does when it is asked.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use super::super::images::lock_layers;
use super::super::protocol::{Request, Response};
use super::super::record;
use super::super::types::{AttachConfig, ContainerConfig, ContainerState, ExecConfig};
use super::child::{Reports, fork};
use super::clients::{Sink, Waits};
use super::confine::Confinement;
use super::container::{Container, Live};
use super::create::Creation;
use super::exec::{self, Execution};
use super::log::{Log, Stream};
use super::server::{Shim, Start, StartOf};

impl Shim {
    /// Does what a client asks, and answers now or later.
    pub(super) fn answer(&mut self, client: u64, request: Request, fds: Vec<OwnedFd>) {
        let answer = match request {
            Request::Info => Ok(Some(self.info())),
            Request::Subscribe => {
                self.clients.set_waits(client, Waits::Events);
                Ok(Some(self.info()))
            }
            Request::Start(config) => self.start(client, *config).map(|()| None),
            Request::Signal { container, signal } => {
                self.signal(&container, signal).map(|()| Some(Response::Done))
            }
            Request::Stop { container, grace_ms } => self.stop(client, &container, grace_ms),
            Request::Exec { container, config } => self.exec(client, &container, &config, fds).map(|()| None),
            Request::KillExec { pid } => self.kill_command(pid).map(|()| Some(Response::Done)),
            Request::Attach { container, config } => {
                self.attach(client, &container, config, fds).map(|()| None)
            }
            Request::Remove { container } => self.remove(&container).map(|()| Some(Response::Done)),
            Request::Shutdown => {
                self.end();
                Ok(None)
            }
        };
        match answer {
            Ok(Some(response)) => self.clients.send(client, &response, &[]),
            Ok(None) => {}
            Err(e) => self.clients.send(client, &Response::failed(e.to_string()), &[]),
        }
    }

    fn info(&self) -> Response {
        let containers = self.containers.values().map(|c| c.status.clone()).collect();
        Response::Sandbox { config: Box::new(self.config.clone()), containers }
    }

    fn start(&mut self, client: u64, config: ContainerConfig) -> io::Result<()> {
        let key = record::key(&config.name, config.attempt);
        if self.ending {
            return Err(io::Error::other("the pod is being removed"));
        }
        if self.containers.contains_key(&key) || !is_name(&config.name) {
            return Err(io::Error::other(format!("container {key} exists already, or is no name")));
        }
        let dir = record::container_dir(&self.config.dir, &key);
        fs::create_dir_all(&dir)?;
        let log = Log::open(&config.log_path)?;
        let layers = lock_layers(&config.image.layers).map_err(io::Error::other)?;
        let mut live = Live::new(&config, log, layers);
        let stdio = if config.tty { None } else { Some(streams(&mut live, config.stdin)?) };
        let (reports, reporter) = Reports::pair()?;
        let status = record::new_status(&self.config, &config);
        record::write_status(&self.config.dir, &status)?;
        let creation = Creation {
            sandbox: &self.config,
            config: &config,
            dir,
            cgroup: self.cgroup(&key),
            stdio,
            reporter,
        };
        fork(move || creation.run())?;
        self.containers.insert(key.clone(), Container { status, live: Some(live) });
        self.starts.push(Start { reports, client, of: StartOf::Container(key) });
        self.clients.set_waits(client, Waits::Elsewhere);
        Ok(())
    }

    fn container(&self, key: &str) -> io::Result<&Container> {
        self.containers.get(key).ok_or_else(|| io::Error::other(format!("container {key} does not exist")))
    }

    fn running(&self, key: &str) -> io::Result<(Pid, &Live)> {
        let container = self.container(key)?;
        let found = container.pid().zip(container.live.as_ref());
        found.ok_or_else(|| io::Error::other(format!("container {key} does not run")))
    }

    fn signal(&self, key: &str, signal: i32) -> io::Result<()> {
        self.container(key)?.signal(signal)
    }

    fn stop(&mut self, client: u64, key: &str, grace_ms: u64) -> io::Result<Option<Response>> {
        let container = self.container(key)?;
        if container.status.state == ContainerState::Exited {
            return Ok(Some(Response::Container(Box::new(container.status.clone()))));
        }
        self.clients.set_waits(client, Waits::Exit(key.to_owned()));
        let at = Instant::now() + Duration::from_millis(grace_ms);
        let Some(container) = self.containers.get_mut(key) else { return Ok(None) };
        let Some(live) = &mut container.live else { return Ok(None) };
        let stop_signal = live.stop_signal;
        let first = live.kill_at.is_none();
        live.kill_at = Some(live.kill_at.map_or(at, |old| old.min(at)));
        if first && grace_ms > 0 {
            // A container that is just being created is killed when its time is over.
            drop(container.signal(stop_signal));
        }
        Ok(None)
    }

    fn exec(&mut self, client: u64, key: &str, config: &ExecConfig, fds: Vec<OwnedFd>) -> io::Result<()> {
        let (init, _) = self.running(key)?;
        let confinement = Confinement::read(&record::container_dir(&self.config.dir, key))?;
        let (terminal, stdio) = if config.tty {
            let (ours, theirs) = exec::open_terminal(init, config)?;
            (Some(ours), [theirs.try_clone()?, theirs.try_clone()?, theirs])
        } else {
            (None, given_streams(config, fds)?)
        };
        let (reports, reporter) = Reports::pair()?;
        let execution = Execution { config, init, cgroup: self.cgroup(key), confinement, stdio, reporter };
        fork(move || execution.run())?;
        self.starts.push(Start { reports, client, of: StartOf::Command(terminal) });
        self.clients.set_waits(client, Waits::Elsewhere);
        Ok(())
    }

    fn kill_command(&self, pid: i32) -> io::Result<()> {
        // Only processes that were not waited for yet, so the number can't belong to another.
        match Pid::from_raw(pid).filter(|_| self.is_command(pid)) {
            Some(pid) => Ok(kill_process(pid, Signal::KILL)?),
            None => Ok(()),
        }
    }

    fn attach(&mut self, client: u64, key: &str, config: AttachConfig, fds: Vec<OwnedFd>) -> io::Result<()> {
        let (_, live) = self.running(key)?;
        let input = live.terminal.as_ref().or(live.stdin.as_ref().filter(|_| config.stdin));
        let input = input.map(OwnedFd::try_clone).transpose()?;
        let once = config.stdin && live.stdin_once;
        let wanted = [(config.stdout, Stream::Stdout), (config.stderr, Stream::Stderr)];
        for (fd, (_, stream)) in fds.into_iter().zip(wanted.into_iter().filter(|(w, _)| *w)) {
            self.sinks.push(Sink::new(key.to_owned(), stream, fd)?);
        }
        let sent: Vec<_> = input.iter().map(AsFd::as_fd).collect();
        self.clients.send(client, &Response::Done, &sent);
        // The client has the only writing end now: the container's input ends when it leaves.
        if let Some(live) = self.containers.get_mut(key).and_then(|c| c.live.as_mut()).filter(|_| once) {
            live.stdin = None;
        }
        Ok(())
    }

    fn remove(&mut self, key: &str) -> io::Result<()> {
        match self.containers.get(key) {
            Some(c) if c.live.is_some() => {
                return Err(io::Error::other(format!("container {key} still runs")));
            }
            _ => drop(self.containers.remove(key)),
        }
        if !key.split_once('.').is_some_and(|(name, _)| is_name(name)) {
            return Err(io::Error::other(format!("{key} is no container")));
        }
        match fs::remove_dir_all(record::container_dir(&self.config.dir, key)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// A container's name is a file's name here, and that of a cgroup.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() < 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Pipes for a container without a terminal: returns its ends, keeps the others.
fn streams(live: &mut Live, stdin: bool) -> io::Result<[OwnedFd; 3]> {
    let input = if stdin {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        live.stdin = Some(ours);
        theirs
    } else {
        File::open("/dev/null")?.into()
    };
    let mut output = |stream| {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        live.outputs.push((stream, ours));
        Ok::<_, io::Error>(theirs)
    };
    Ok([input, output(Stream::Stdout)?, output(Stream::Stderr)?])
}

/// The streams that came with the request, in order, and `/dev/null` for the others.
fn given_streams(config: &ExecConfig, fds: Vec<OwnedFd>) -> io::Result<[OwnedFd; 3]> {
    let mut fds = fds.into_iter();
    let mut next = |wanted: bool| match wanted.then(|| fds.next()).flatten() {
        Some(fd) => Ok(fd),
        None => File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from),
    };
    Ok([next(config.stdin)?, next(config.stdout)?, next(config.stderr)?])
}
