//! Pinned network namespaces: one bind-mounted file per Pod, with a record of its addresses beside it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sealane_netlink::namespace;
use serde::{Deserialize, Serialize};

use super::{Error, io};

/// What is remembered of a pinned namespace, in `UID.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsRecord {
    /// The Pod.
    pub uid: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

pub(super) fn pin_path(pins: &Path, uid: &str) -> PathBuf {
    pins.join(uid)
}

fn record_path(pins: &Path, uid: &str) -> PathBuf {
    pins.join(format!("{uid}.json"))
}

/// Makes a network namespace and pins it.
pub(super) fn pin(pins: &Path, uid: &str) -> Result<PathBuf, Error> {
    let path = pin_path(pins, uid);
    namespace::pin(&path).map_err(io(format!("make the network namespace {}", path.display())))?;
    Ok(path)
}

/// Removes the record and the pin, as far as they exist.
pub(super) fn unpin(pins: &Path, uid: &str) -> Result<(), Error> {
    remove(&record_path(pins, uid))?;
    let pin = pin_path(pins, uid);
    namespace::unpin(&pin).map_err(io(format!("unpin {}", pin.display())))
}

fn remove(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("remove {}", file.display()))(e))
        }
        _ => Ok(()),
    }
}

/// Writes the record; whoever sees it sees all of it.
pub(super) fn write_record(pins: &Path, record: &NetnsRecord) -> Result<(), Error> {
    let path = record_path(pins, &record.uid);
    let part = path.with_extension("part");
    let bytes = serde_json::to_vec(record).map_err(|e| io(format!("encode {}", path.display()))(e.into()))?;
    std::fs::write(&part, bytes)
        .and_then(|()| std::fs::rename(&part, &path))
        .map_err(io(format!("write {}", path.display())))
}

pub(super) fn record(pins: &Path, uid: &str) -> Option<NetnsRecord> {
    serde_json::from_slice(&std::fs::read(record_path(pins, uid)).ok()?).ok()
}

/// All records, the unreadable ones left out.
pub(super) fn records(pins: &Path) -> Result<Vec<NetnsRecord>, Error> {
    Ok(uids(pins)?.iter().filter_map(|uid| record(pins, uid)).collect())
}

/// The Pods with a pin or a record.
pub(super) fn uids(pins: &Path) -> Result<Vec<String>, Error> {
    let doing = || format!("list {}", pins.display());
    let mut uids = Vec::new();
    for entry in std::fs::read_dir(pins).map_err(io(doing()))? {
        let name = entry.map_err(io(doing()))?.file_name().to_string_lossy().into_owned();
        let uid = name.split('.').next().unwrap_or_default().to_owned();
        if !uid.is_empty() && !uids.contains(&uid) {
            uids.push(uid);
        }
    }
    Ok(uids)
}

/// Removes every pin under `run_dir`; the links go with the namespaces. For `sealane down`, also when no agent runs:
/// it is synchronous and goes on after a failure, returning the first one.
///
/// # Errors
/// When something under `run_dir/netns` could not be unmounted or removed.
pub fn teardown(run_dir: &Path) -> Result<(), Error> {
    let pins = run_dir.join("netns");
    if !pins.exists() {
        return Ok(());
    }
    let mut result = Ok(());
    for uid in uids(&pins)? {
        result = result.and(unpin(&pins, &uid));
        result = result.and(remove(&pins.join(format!("{uid}.part"))));
    }
    result.and(std::fs::remove_dir_all(&pins).map_err(io(format!("remove {}", pins.display()))))
}
