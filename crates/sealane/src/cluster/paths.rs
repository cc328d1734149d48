//! Where a cluster keeps what on this machine. Nothing of it lies elsewhere, but for its context in the kubeconfig.

use std::path::{Path, PathBuf};

pub(super) const RUN_ROOT: &str = "/run/sealane";
pub(super) const DATA_ROOT: &str = "/var/lib/sealane";

/// The directories and files of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// State that is gone with `down`: settings, process records, sockets, pinned namespaces.
    pub(crate) run: PathBuf,
    /// What outlives a restart: objects, images, certificates, logs.
    pub(crate) data: PathBuf,
    /// The cgroup of all its Pods, below each hierarchy's root.
    pub(crate) cgroup: String,
}

impl Paths {
    pub(super) fn new(name: &str, data: &Path) -> Self {
        Self { run: Self::run_of(name), data: data.to_owned(), cgroup: format!("sealane/{name}") }
    }

    /// The state directory of the cluster of that name.
    pub(crate) fn run_of(name: &str) -> PathBuf {
        Path::new(RUN_ROOT).join(name)
    }

    /// The data directory unless `--data-dir` names another.
    pub(crate) fn default_data(name: &str) -> PathBuf {
        Path::new(DATA_ROOT).join(name)
    }

    /// The parents of the state and data directories, which go with the last cluster.
    pub(crate) fn roots() -> [&'static Path; 2] {
        [Path::new(RUN_ROOT), Path::new(DATA_ROOT)]
    }

    /// A pinned network namespace: `wire` or a node's name.
    pub(crate) fn netns(&self, name: &str) -> PathBuf {
        self.run.join("netns").join(name)
    }

    /// The record of a process: its pid and start time.
    pub(crate) fn process(&self, process: &str) -> PathBuf {
        self.run.join(format!("{process}.pid"))
    }

    /// Why a process could not start, in one sentence.
    pub(crate) fn failure(&self, process: &str) -> PathBuf {
        self.run.join(format!("{process}.failed"))
    }

    /// A process's log.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.data.join("logs").join(format!("{process}.log"))
    }

    /// The directory of the objects.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Images, shared by all nodes.
    pub(crate) fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Where nodes ask for images of registries.
    pub(crate) fn pull_socket(&self) -> PathBuf {
        self.run.join("pull.sock")
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.data.join("pki")
    }

    /// A node's state: Pod sockets, pinned Pod namespaces.
    pub(crate) fn node_run(&self, node: &str) -> PathBuf {
        self.run.join("nodes").join(node)
    }

    /// A node's data: container file systems, volumes, logs.
    pub(crate) fn node_data(&self, node: &str) -> PathBuf {
        self.data.join("nodes").join(node)
    }
}
