//! Makes the process a Pod's supervisor: session, namespaces, cgroup, signals, socket.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior, setsid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::super::cgroup::Hierarchies;
use super::super::record::SOCKET;
use super::super::types::SandboxConfig;
use super::child::unshare;

/// Returns the listening socket and the signals' file descriptor, or what went wrong.
pub(super) fn enter(config: &SandboxConfig) -> Result<(UnixListener, OwnedFd), String> {
    let step = |what: &str, done: io::Result<()>| done.map_err(|e| format!("{what}: {e}"));
    step("making a session", setsid().map(drop).map_err(Into::into))?;
    step(
        "becoming the sub-reaper",
        set_child_subreaper(Some(rustix::process::getpid())).map_err(Into::into),
    )?;
    // Children enter containers: nothing there may trace them or reach their files through /proc.
    step("becoming undumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Into::into))?;
    step("redirecting the standard streams", redirect(&config.dir))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let group = format!("{}/shim", config.cgroup_parent);
    step("joining its cgroup", Hierarchies::of_this_machine().join_v2(&group))?;
    step("entering the Pod's namespaces", namespaces(config))?;
    for (name, value) in &config.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        step(&format!("setting sysctl {name}"), fs::write(path, value))?;
    }
    let listener = listen(&config.dir).map_err(|e| format!("listening: {e}"))?;
    let signals = signals().map_err(|e| format!("taking signals: {e}"))?;
    step("leaving the directory", std::env::set_current_dir("/"))?;
    Ok((listener, signals))
}

fn redirect(dir: &Path) -> io::Result<()> {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("shim.log"))?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(&log)?;
    Ok(rustix::stdio::dup2_stderr(&log)?)
}

fn namespaces(config: &SandboxConfig) -> io::Result<()> {
    if let Some(netns) = &config.netns {
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&File::open(netns)?),
            Some(LinkNameSpaceType::Network),
        )?;
    }
    unshare(UnshareFlags::NEWIPC)?;
    if !config.hostname.is_empty() {
        unshare(UnshareFlags::NEWUTS)?;
        rustix::system::sethostname(config.hostname.as_bytes())?;
    }
    Ok(())
}

/// A socket's path may have 108 bytes; the Pod's directory is reached by its descriptor, however long its name is.
fn listen(dir: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(dir.join(SOCKET)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let opened = File::open(dir)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    fs::set_permissions(dir.join(SOCKET), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[allow(unsafe_code)] // Plain system calls on a local set of signals.
fn signals() -> io::Result<OwnedFd> {
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}
