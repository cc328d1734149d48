//! Pinned network namespaces: one bind-mounted file per Pod, with a record of its addresses beside it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nlink::netlink::namespace;
use serde::{Deserialize, Serialize};

use super::{Error, io, netlink};

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

/// Whether the file is a mounted namespace, not the bare file that is left of one.
pub(super) fn is_pinned(pin: &Path) -> bool {
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    rustix::fs::statfs(pin).is_ok_and(|s| u64::try_from(s.f_type).is_ok_and(|t| t == NSFS_MAGIC))
}

/// Makes a network namespace and pins it.
pub(super) async fn pin(pins: &Path, uid: &str) -> Result<PathBuf, Error> {
    let path = pin_path(pins, uid);
    let target = path.clone();
    let doing = format!("make the network namespace {}", path.display());
    // unshare affects a thread, and creating the first namespace after a pause takes milliseconds: not on a worker.
    tokio::task::spawn_blocking(move || namespace::create_path(&target))
        .await
        .map_err(|e| Error::Io { doing: doing.clone(), source: std::io::Error::other(e) })?
        .map_err(netlink(doing))?;
    Ok(path)
}

/// Removes the record and the pin, as far as they exist.
pub(super) fn unpin(pins: &Path, uid: &str) -> Result<(), Error> {
    remove(&record_path(pins, uid))?;
    unpin_file(&pin_path(pins, uid))
}

fn unpin_file(pin: &Path) -> Result<(), Error> {
    use rustix::mount::{UnmountFlags, unmount};
    while is_pinned(pin) {
        unmount(pin, UnmountFlags::DETACH).map_err(|e| io(format!("unmount {}", pin.display()))(e.into()))?;
    }
    remove(pin)
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
