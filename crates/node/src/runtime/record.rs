//! What is on disk in a Pod's directory: `sandbox.json`, `shim.sock`, and for each attempt of a container
//! `containers/NAME.ATTEMPT/` with `container.json`, `status.json` and its writable layer. A restarted agent reads from
//! it what happened meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::types::{ContainerConfig, ContainerId, ContainerState, ContainerStatus, SandboxConfig};

/// Name of the shim's socket.
pub(super) const SOCKET: &str = "shim.sock";
const SANDBOX: &str = "sandbox.json";
const STATUS: &str = "status.json";

/// Names a container's attempt inside its Pod: `NAME.ATTEMPT` (a name has no dot).
pub(super) fn key(name: &str, attempt: u32) -> String {
    format!("{name}.{attempt}")
}

/// The directory of one attempt.
pub(super) fn container_dir(pod: &Path, key: &str) -> PathBuf {
    pod.join("containers").join(key)
}

/// The sandbox' configuration, if it was written.
pub(super) fn read_sandbox(pod: &Path) -> Option<SandboxConfig> {
    serde_json::from_slice(&fs::read(pod.join(SANDBOX)).ok()?).ok()
}

/// Writes the sandbox' configuration.
pub(super) fn write_sandbox(config: &SandboxConfig) -> io::Result<()> {
    fs::create_dir_all(config.dir.join("containers"))?;
    replace(&config.dir.join(SANDBOX), config)
}

/// Forgets the sandbox: it is no longer listed.
pub(super) fn remove_sandbox(pod: &Path) -> io::Result<()> {
    match fs::remove_file(pod.join(SANDBOX)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Writes a container's status.
pub(super) fn write_status(pod: &Path, status: &ContainerStatus) -> io::Result<()> {
    let dir = container_dir(pod, &key(&status.id.name, status.id.attempt));
    replace(&dir.join(STATUS), status)
}

/// Every container that has a record, by name, then attempt.
pub(super) fn read_statuses(pod: &Path) -> Vec<ContainerStatus> {
    let Ok(entries) = fs::read_dir(pod.join("containers")) else { return Vec::new() };
    let read = |dir: PathBuf| serde_json::from_slice(&fs::read(dir.join(STATUS)).ok()?).ok();
    let mut all: Vec<ContainerStatus> = entries.flatten().filter_map(|e| read(e.path())).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// A container about to be created.
pub(super) fn new_status(sandbox: &SandboxConfig, config: &ContainerConfig) -> ContainerStatus {
    let id = ContainerId { pod_uid: sandbox.uid.clone(), name: config.name.clone(), attempt: config.attempt };
    let digest = Sha256::digest(format!("{}/{}/{}", id.pod_uid, id.name, id.attempt));
    ContainerStatus {
        container_id: digest.iter().map(|b| format!("{b:02x}")).collect(),
        id,
        state: ContainerState::Created,
        image: config.image.names.first().cloned().unwrap_or_default(),
        image_id: config.image.id.clone(),
        pid: 0,
        started_at: None,
        finished_at: None,
        exit_code: 0,
        signal: 0,
        reason: String::new(),
        message: String::new(),
        log_path: config.log_path.clone(),
    }
}

/// The status of a container whose shim died: nobody saw how it ended.
pub(super) fn unknown_end(status: &mut ContainerStatus, now: Timestamp) {
    status.state = ContainerState::Exited;
    status.pid = 0;
    status.finished_at = Some(now);
    status.exit_code = 137;
    status.signal = 9;
    status.reason = "ContainerStatusUnknown".to_owned();
    status.message = "the pod's supervisor ended before the container did".to_owned();
}

/// Writes aside and renames: a reader sees the old or the new content.
fn replace(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, serde_json::to_vec(content)?)?;
    fs::rename(aside, path)
}
