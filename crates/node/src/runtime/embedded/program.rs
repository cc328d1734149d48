//! The program of the shims: this one, opened through a read-only mount that nobody else has.
//!
//! A process in a container can reach the program of a process that enters it, through `/proc/PID/exe`, and overwrite it
//! once it runs nowhere (CVE-2019-5736). Through this mount it can't be opened for writing.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::{OpenTreeFlags, open_tree};
use tokio::process::Command;

use super::super::RuntimeError;
use super::super::types::SandboxConfig;
use super::EmbeddedConfig;

pub(super) struct Program {
    file: OwnedFd,
    name: OsString,
}

impl Program {
    pub(super) fn open(command: &[OsString]) -> Result<Self, RuntimeError> {
        let name = command.first().cloned().unwrap_or_default();
        let path = Path::new(&name);
        let file = open_read_only(path).map_err(RuntimeError::io("opening the shim's program", path))?;
        Ok(Self { file, name })
    }

    /// Starts a Pod's shim; returns when it listens.
    pub(super) async fn spawn_shim(
        &self,
        config: &EmbeddedConfig,
        pod: &SandboxConfig,
    ) -> Result<(), RuntimeError> {
        let failed = |message: String| RuntimeError::Shim { pod: pod.name.clone(), message };
        // It detaches itself: the process that is waited for here ends when the shim is ready.
        let output = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .arg0(&self.name)
            .args(config.shim_command.iter().skip(1))
            .args(["--name", &config.cluster])
            .arg("--dir")
            .arg(&pod.dir)
            .arg(&pod.uid)
            .env_clear()
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .map_err(|e| failed(e.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(failed(format!("{} ({})", said.trim_start_matches("pod-shim: "), output.status)))
    }
}

fn open_read_only(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let file = open_tree(rustix::fs::CWD, path, flags)?;
    make_read_only(&file)?;
    Ok(file)
}

#[allow(unsafe_code)] // mount_setattr(2) on a mount of our own; the structure is the kernel's, with its size.
fn make_read_only(mount: &OwnedFd) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
