//! What can go wrong with containers.

use std::io;
use std::path::PathBuf;

/// An error of the container runtime: what was being done, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The container's command could not be started.
    #[error("{message}")]
    Start {
        /// As in a container's status: `ContainerCannotRun`, `CreateContainerConfigError` or `CreateContainerError`.
        reason: String,
        /// What went wrong, for people.
        message: String,
    },
    /// There is no such Pod, or its shim does not run.
    #[error("pod {0} has no running sandbox")]
    NoSandbox(String),
    /// There is no such container, or it does not run.
    #[error("container {0}")]
    NoContainer(String),
    /// The shim could not be started.
    #[error("starting the pod shim of {pod}: {message}")]
    Shim {
        /// The Pod.
        pod: String,
        /// What it said.
        message: String,
    },
    /// The shim refused a request or talks another language.
    #[error("pod shim: {0}")]
    Protocol(String),
    /// A system call or file operation failed.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl RuntimeError {
    /// For `map_err`: says what was being done to which path.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
