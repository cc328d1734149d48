//! A cluster on this machine: the flags it was made with, and where it keeps what.

mod addresses;
mod lock;
mod paths;

pub(crate) use addresses::Addresses;
pub(crate) use lock::{Lock, lock, try_lock};
pub(crate) use paths::Paths;

use crate::cidr::Cidr;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Whether Pods reach the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Egress {
    /// Through the host, masqueraded.
    Nat,
    /// Not at all; the host keeps its links, routes, tables and sysctls as they are.
    None,
}

/// The range of NodePorts, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// What a cluster was made with; kept in the data directory and, while it runs, in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) schema: u32,
    pub(crate) name: String,
    pub(crate) nodes: u32,
    pub(crate) data_dir: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) service_cidr: Cidr,
    pub(crate) pod_cidr: Cidr,
    pub(crate) node_cidr: Cidr,
    pub(crate) node_ports: PortRange,
    pub(crate) api_port: u16,
    pub(crate) publish: IpAddr,
    pub(crate) egress: Egress,
}

/// The DNS domain of every cluster.
pub(crate) const DOMAIN: &str = "cluster.local";

/// The version of Kubernetes whose API is served.
pub(crate) const KUBERNETES_VERSION: &str = "v1.33.0";

/// The version of `cluster.json`; a newer one is refused by name.
pub(crate) const SCHEMA: u32 = 1;

/// Why a cluster's settings could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error(
        "there is no cluster called {0}; `sealane list` shows those there are, `sealane up --name {0}` makes it"
    )]
    Unknown(String),
    #[error("{path} is damaged ({why}); if the cluster may go, remove {} and run `sealane up` again", .path.parent().unwrap_or(.path).display(), path = .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{path} was written by a newer sealane (schema {found}, this one knows {SCHEMA}); use that one", path = .path.display())]
    Newer { path: PathBuf, found: u32 },
    #[error("cannot {doing} {path}", path = .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Cluster {
    /// The cluster whose settings lie in `directory`; `None` if there are none.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, ClusterError> {
        let path = directory.join("cluster.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ClusterError::Io { doing: "read", path, source }),
        };
        let damaged = |why: String| ClusterError::Damaged { path: path.clone(), why };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        let schema = value["schema"].as_u64().unwrap_or(0);
        if schema > u64::from(SCHEMA) {
            let found = u32::try_from(schema).unwrap_or(u32::MAX);
            return Err(ClusterError::Newer { path, found });
        }
        serde_json::from_value(value).map(Some).map_err(|e| damaged(e.to_string()))
    }

    /// The cluster of that name, running or stopped.
    pub(crate) fn find(name: &str) -> Result<Self, ClusterError> {
        for directory in [Paths::run_of(name), Paths::default_data(name)] {
            if let Some(cluster) = Self::read(&directory)? {
                return Ok(cluster);
            }
        }
        Err(ClusterError::Unknown(name.to_owned()))
    }

    /// All clusters of this machine that are known, by name.
    pub(crate) fn all() -> Vec<Self> {
        let mut names = std::collections::BTreeSet::new();
        for root in [paths::RUN_ROOT, paths::DATA_ROOT] {
            let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
            names.extend(entries.map(|e| e.file_name().to_string_lossy().into_owned()));
        }
        names.iter().filter_map(|name| Self::find(name).ok()).collect()
    }

    /// Writes the settings into `directory`, atomically.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), ClusterError> {
        let path = directory.join("cluster.json");
        let text = serde_json::to_vec_pretty(self).expect("settings are plain data");
        write_atomically(&path, &text, 0o600).map_err(|source| ClusterError::Io {
            doing: "write",
            path,
            source,
        })
    }

    /// Where this cluster keeps what.
    pub(crate) fn paths(&self) -> Paths {
        Paths::new(&self.name, &self.data_dir)
    }

    /// The addresses of its parts.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses::new(self)
    }

    /// `node-1`, `node-2`, ….
    pub(crate) fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|n| format!("node-{n}")).collect()
    }
}

/// Writes a file so that a reader sees the old or the new content, never a part.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
