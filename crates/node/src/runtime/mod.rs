//! Containers and images of one node, behind [`Runtime`].
//!
//! The one backend today is [`Embedded`]: it starts a `pod-shim` (this same binary, re-executed) for every Pod, and the
//! shim alone calls libcontainer, because that library needs a process without threads. A shim outlives the node process;
//! [`Embedded::new`] finds the shims that run and the records of containers that ended meanwhile.
//!
//! Invariants: whatever a Pod used is in its directory ([`SandboxConfig::dir`]) and under its cgroup
//! ([`SandboxConfig::cgroup_parent`]); no mount of a container is ever visible in the host's mount namespace; so killing
//! the cgroup and removing the directory leaves nothing behind, also after a crash of anything ([`cleanup_pod`]).

mod cgroup;
mod cleanup;
mod embedded;
mod error;
pub mod images;
mod protocol;
mod record;
mod shim;
mod types;

pub use cleanup::{cleanup_pod, reap_cluster};
pub use embedded::{Embedded, EmbeddedConfig};
pub use error::RuntimeError;
pub use shim::shim_main;
pub use types::{
    AttachConfig, ContainerConfig, ContainerId, ContainerState, ContainerStatus, ExecConfig, ExitStatus,
    Mount, Resources, RuntimeEvent, SandboxConfig, SandboxStatus, SeccompProfile, SecurityContext,
    TerminalSize,
};

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;

/// What every method of [`Runtime`] returns.
pub type RuntimeFuture<'a, T> = BoxFuture<'a, Result<T, RuntimeError>>;

/// The containers of one node. A Pod is named by its uid, a container by [`ContainerId`].
pub trait Runtime: Send + Sync {
    /// Makes the Pod's sandbox: its shim, its IPC and UTS namespaces, its cgroup. A Pod whose sandbox runs already is left
    /// as it is; one whose shim died gets a new one (the ended containers stay listed).
    fn run_sandbox(&self, config: SandboxConfig) -> RuntimeFuture<'_, ()>;

    /// Ends every container of the Pod at once (SIGKILL), the shim, and the cgroup; the directory stays for the caller
    /// (records in it are no longer listed). No error if there is no such Pod.
    fn remove_sandbox<'a>(&'a self, pod_uid: &'a str) -> RuntimeFuture<'a, ()>;

    /// Creates the container and starts its command; returns once the command was executed.
    ///
    /// # Errors
    /// [`RuntimeError::Start`] with the reason that `kubectl describe` shows; the failed attempt is listed as exited.
    fn create_and_start<'a>(
        &'a self,
        pod_uid: &'a str,
        config: ContainerConfig,
    ) -> RuntimeFuture<'a, ContainerStatus>;

    /// Sends one signal to the container's first process.
    fn kill<'a>(&'a self, id: &'a ContainerId, signal: i32) -> RuntimeFuture<'a, ()>;

    /// Sends the image's stop signal (SIGTERM by default), SIGKILL after `grace`, and returns when the container has
    /// exited. A second call with a shorter grace shortens the first. The shim counts the time, so the container ends even
    /// if the caller dies.
    fn stop<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> RuntimeFuture<'a, ContainerStatus>;

    /// Runs a command in a running container, with the container's namespaces, cgroup, user, capabilities and environment.
    fn exec<'a>(&'a self, id: &'a ContainerId, config: ExecConfig) -> RuntimeFuture<'a, Exec>;

    /// Connects to the streams of a running container's first process.
    fn attach<'a>(&'a self, id: &'a ContainerId, config: AttachConfig) -> RuntimeFuture<'a, Streams>;

    /// Forgets an exited container: its record, its writable layer. The log file stays. No error if it is unknown.
    fn remove<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, ()>;

    /// One container, running or ended.
    fn status<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, Option<ContainerStatus>>;

    /// Every Pod and its containers, running or ended, oldest attempt first.
    fn list(&self) -> RuntimeFuture<'_, Vec<SandboxStatus>>;

    /// What happens from now on. A receiver that lags must [`Runtime::list`] again.
    fn events(&self) -> broadcast::Receiver<RuntimeEvent>;
}

/// The caller's ends of a process' streams. A terminal has `stdin` and `stdout` only.
#[derive(Default)]
pub struct Streams {
    /// To the process; dropping it is the end of its input (but not of a terminal's).
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// From the process; ends when it exited and everything was read.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// From the process.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The terminal, if the process has one.
    pub(crate) terminal: Option<std::os::fd::OwnedFd>,
}

/// A process started by [`Runtime::exec`].
pub struct Exec {
    /// Its streams.
    pub streams: Streams,
    /// Tells the exit; see [`Exec::wait`].
    pub(crate) exited: BoxFuture<'static, Result<ExitStatus, RuntimeError>>,
    pub(crate) kill: Box<dyn Fn() -> BoxFuture<'static, Result<(), RuntimeError>> + Send + Sync>,
    /// Its process id as the host sees it.
    pub pid: i32,
}
