//! Runs a further command in a container: the body of a forked child of the shim.
//!
//! The child enters the container's cgroup and namespaces; its own child, which the PID namespace needs, takes the
//! container's identity and executes the command. Both are undumpable until then, so that nothing in the container can
//! reach the host through them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libcontainer::{capabilities, syscall::syscall::create_syscall};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::process::{Pid, PidfdFlags, ioctl_tiocsctty, pidfd_open, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces, set_no_new_privs};

use super::super::cgroup::Hierarchies;
use super::super::types::ExecConfig;
use super::child::{self, Failure, Reporter};
use super::confine::Confinement;
use super::executor::execute;

/// All that the child needs.
pub(super) struct Execution<'a> {
    pub(super) config: &'a ExecConfig,
    /// The container's first process.
    pub(super) init: Pid,
    pub(super) cgroup: String,
    /// As the container's own process.
    pub(super) confinement: Confinement,
    pub(super) stdio: [OwnedFd; 3],
    pub(super) reporter: Reporter,
}

/// A new terminal of the container: the end to keep and the end for the process. Its own `/dev` is used, but never
/// followed out of its root.
pub(super) fn open_terminal(init: Pid, config: &ExecConfig) -> io::Result<(OwnedFd, OwnedFd)> {
    let root = File::open(format!("/proc/{}/root", init.as_raw_nonzero()))?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let ours = openat2(root, "dev/pts/ptmx", flags, Mode::empty(), inside)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    if let Some(size) = config.size {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size)?;
    }
    Ok((ours, theirs))
}

impl Execution<'_> {
    /// Returns the child's exit code.
    pub(super) fn run(self) -> i32 {
        if let Err(e) = self.enter() {
            self.reporter.failed(Failure::create(format!("entering the container: {e}")));
            return 1;
        }
        match child::fork(|| self.become_command()) {
            Ok(pid) => self.reporter.process(pid.as_raw_nonzero().get(), None),
            Err(e) => self.reporter.failed(Failure::create(format!("forking: {e}"))),
        }
        0
    }

    fn enter(&self) -> io::Result<()> {
        let init = pidfd_open(self.init, PidfdFlags::empty())?;
        Hierarchies::of_this_machine().join_existing(&self.cgroup)?;
        let kinds =
            ThreadNameSpaceType::CONTROL_GROUP | ThreadNameSpaceType::PROCESS_ID | ThreadNameSpaceType::MOUNT;
        Ok(move_into_thread_name_spaces(init.as_fd(), kinds)?)
    }

    fn become_command(&self) -> i32 {
        let failure = match self.take_identity() {
            Err(e) => Failure::create(format!("taking the container's identity: {e}")),
            Ok(()) => {
                let mut env: Vec<String> = self.confinement.process.env().clone().unwrap_or_default();
                if self.config.tty && !env.iter().any(|e| e.starts_with("TERM=")) {
                    env.push("TERM=xterm".to_owned());
                }
                env.extend(self.config.env.iter().map(|(k, v)| format!("{k}={v}")));
                execute(&self.config.command, &env)
            }
        };
        let code = failure.exit_code;
        self.reporter.failed(failure);
        code
    }

    fn take_identity(&self) -> io::Result<()> {
        setsid()?;
        let [stdin, stdout, stderr] = &self.stdio;
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)?;
        if self.config.tty {
            ioctl_tiocsctty(stdin)?;
        }
        let process = &self.confinement.process;
        std::env::set_current_dir(process.cwd())?;
        if process.no_new_privileges() == Some(true) {
            set_no_new_privs(true)?;
        }
        self.set_ids()?;
        self.confinement.confine()?;
        debug_assert!(self.reporter.0.as_raw_fd() > 2, "the reporter is no standard stream");
        Ok(())
    }

    #[allow(unsafe_code)] // Plain system calls; the process has one thread, so no other is left behind.
    fn set_ids(&self) -> io::Result<()> {
        let user = self.confinement.process.user();
        let groups = user.additional_gids().clone().unwrap_or_default();
        let check = |result: libc::c_long| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        rustix::thread::set_keep_capabilities(true)?;
        unsafe {
            check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
            check(libc::syscall(libc::SYS_setresgid, user.gid(), user.gid(), user.gid()))?;
            check(libc::syscall(libc::SYS_setresuid, user.uid(), user.uid(), user.uid()))?;
        }
        // A change of user took the effective set, which dropping from the bounding set needs; it is lost for good with
        // the execution.
        capabilities::reset_effective(create_syscall().as_ref())
            .map_err(|e| io::Error::other(e.to_string()))?;
        Ok(rustix::thread::set_keep_capabilities(false)?)
    }
}
