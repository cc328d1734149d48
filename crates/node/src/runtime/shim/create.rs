//! Creates and starts one container: the body of a forked child of the shim, in which libcontainer runs.
//!
//! The root filesystem is mounted in a mount namespace that only this child and the container share, so it is gone with
//! them, however they end.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::Container as OciContainer;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;

use super::super::cgroup::Hierarchies;
use super::super::images::{MountMethod, ensure_directory, mount_rootfs, read_below};
use super::super::protocol::Inbox;
use super::super::types::{ContainerConfig, SandboxConfig};
use super::child::{self, Failure, Reporter};
use super::confine::Confinement;
use super::executor::Reporting;
use super::{spec, user};

/// All that the child needs.
pub(super) struct Creation<'a> {
    pub(super) sandbox: &'a SandboxConfig,
    pub(super) config: &'a ContainerConfig,
    /// The container's directory.
    pub(super) dir: PathBuf,
    pub(super) cgroup: String,
    /// Standard input, output and error; none with a terminal.
    pub(super) stdio: Option<[OwnedFd; 3]>,
    pub(super) reporter: Reporter,
}

impl Creation<'_> {
    /// Returns the child's exit code.
    pub(super) fn run(mut self) -> i32 {
        match self.create() {
            Ok(()) => 0,
            Err(failure) => {
                self.reporter.failed(failure);
                1
            }
        }
    }

    fn create(&mut self) -> Result<(), Failure> {
        self.adjust_oom_score();
        self.check_mounts()?;
        let rootfs = self.mount()?;
        let confinement = self.write_spec(&rootfs)?;
        let console = if self.config.tty { Some(self.listen_for_terminal()?) } else { None };
        let mut container = self.build(console.is_some(), confinement)?;
        let pid = container.pid().map_or(0, nix_pid);
        let terminal =
            console.map(|c| receive_terminal(&c)).transpose().map_err(failed("receiving the terminal"))?;
        self.reporter.process(pid, terminal.as_ref().map(AsFd::as_fd));
        container.start().map_err(|e| Failure::create(format!("starting it: {}", chain(&e))))
    }

    /// A score below the inherited one needs a capability that a machine may not give: the inherited one stays then.
    fn adjust_oom_score(&self) {
        if let Some(score) = self.config.oom_score_adj {
            drop(fs::write("/proc/self/oom_score_adj", score.to_string()));
        }
    }

    fn check_mounts(&self) -> Result<(), Failure> {
        match self.config.mounts.iter().find(|m| !m.host_path.exists()) {
            Some(missing) => Err(Failure::config(format!("{} does not exist", missing.host_path.display()))),
            None => Ok(()),
        }
    }

    fn mount(&self) -> Result<PathBuf, Failure> {
        if Hierarchies::of_this_machine().hybrid().is_some() {
            Hierarchies::of_this_machine().join_v2(&self.cgroup).map_err(failed("joining its cgroup"))?;
        }
        child::unshare(UnshareFlags::NEWNS).map_err(failed("making a mount namespace"))?;
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change("/", flags).map_err(|e| failed("detaching its mounts")(e.into()))?;
        mount_rootfs(&self.config.image.layers, &self.dir, MountMethod::Best)
            .map_err(|e| Failure::create(e.to_string()))
    }

    fn write_spec(&self, rootfs: &Path) -> Result<Confinement, Failure> {
        let (passwd, group) = (read_below(rootfs, "etc/passwd"), read_below(rootfs, "etc/group"));
        let user = user::resolve(&self.config.image.user, &self.config.security, &passwd, &group)?;
        if spec::command(self.config).is_empty() {
            return Err(Failure::config("no command specified"));
        }
        let dir = spec::working_dir(self.config);
        ensure_directory(rootfs, Path::new(&dir)).map_err(failed("making the working directory"))?;
        let mut specification = spec::specification(&spec::Container {
            config: self.config,
            user: &user,
            hostname: &self.sandbox.hostname,
            rootfs,
            cgroup: &self.cgroup,
            permitted: permitted_capabilities(),
        });
        let profile = &self.config.security.seccomp;
        let confinement = Confinement::take_from(&mut specification, profile, &self.dir)
            .map_err(failed("preparing what it may do"))?;
        fs::write(self.dir.join("config.json"), specification.to_string())
            .map_err(failed("writing config.json"))?;
        Ok(confinement)
    }

    fn build(&mut self, terminal: bool, confinement: Confinement) -> Result<OciContainer, Failure> {
        let reporter = self.reporter.0.try_clone().map_err(failed("duplicating a descriptor"))?;
        let state = self.dir.join("state");
        let refused = |e: libcontainer::error::LibcontainerError| Failure::create(chain(&e));
        let mut builder = ContainerBuilder::new("container".to_owned(), SyscallType::default())
            .with_root_path(state)
            .map_err(refused)?
            .with_executor(Reporting { reporter: Reporter(reporter), confinement })
            .with_console_socket(terminal.then(|| self.dir.join(CONSOLE)));
        if let Some([stdin, stdout, stderr]) = self.stdio.take() {
            builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
        }
        builder.as_init(&self.dir).with_systemd(false).with_detach(true).build().map_err(refused)
    }

    fn listen_for_terminal(&self) -> Result<UnixListener, Failure> {
        let listen = || {
            let dir = File::open(&self.dir)?;
            drop(fs::remove_file(self.dir.join(CONSOLE)));
            UnixListener::bind(format!("/proc/self/fd/{}/{CONSOLE}", dir.as_raw_fd()))
        };
        listen().map_err(failed("listening for the terminal"))
    }
}

const CONSOLE: &str = "console.sock";

/// libcontainer has connected and sent it by the time the container is built.
fn receive_terminal(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (socket, _) = listener.accept()?;
    let mut inbox = Inbox::default();
    inbox.receive(&socket)?;
    inbox.take_fds().pop().ok_or_else(|| io::Error::other("libcontainer sent none"))
}

fn nix_pid(pid: impl std::fmt::Display) -> i32 {
    pid.to_string().parse().unwrap_or(0)
}

/// What this process has in its permitted and bounding sets.
fn permitted_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    set("CapPrm:").unwrap_or(0) & set("CapBnd:").unwrap_or(0)
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |e| Failure::create(format!("{what}: {e}"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}
