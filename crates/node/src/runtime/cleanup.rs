//! Ends what is left of a Pod or of a whole cluster, whoever died before: synchronous, safe to call twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};

use super::RuntimeError;
use super::cgroup::Hierarchies;
use super::record;

const PATIENCE: Duration = Duration::from_secs(10);

/// Kills every process of the Pod whose directory this is (found by its cgroup, so a dead shim is no obstacle), removes
/// the cgroup, unmounts what is mounted below the directory. The directory and its records stay. No error if there is
/// nothing.
///
/// # Errors
/// When a process does not end or a cgroup can't be removed.
pub fn cleanup_pod(dir: &Path) -> Result<(), RuntimeError> {
    if let Some(config) = record::read_sandbox(dir) {
        end_group(&config.cgroup_parent)?;
    }
    unmount_below(dir);
    match fs::remove_file(dir.join(record::SOCKET)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(RuntimeError::io("deleting the socket in", dir)(e))
        }
        _ => Ok(()),
    }
}

/// Kills every process in and below the cgroup `cgroup_root` (`sealane/NAME`; the caller must not be in it), removes the
/// cgroup and its parent, if that is empty then, and unmounts everything below `dirs`. For `sealane down`.
///
/// # Errors
/// When a process does not end or a cgroup can't be removed.
pub fn reap_cluster(cgroup_root: &str, dirs: &[&Path]) -> Result<(), RuntimeError> {
    end_group(cgroup_root)?;
    if let Some(parent) = Path::new(cgroup_root).parent().and_then(Path::to_str).filter(|p| !p.is_empty()) {
        // Other clusters' groups make this fail, which is right.
        for dir in Hierarchies::of_this_machine().directories(parent) {
            drop(fs::remove_dir(dir));
        }
    }
    dirs.iter().for_each(|dir| unmount_below(dir));
    Ok(())
}

fn end_group(group: &str) -> Result<(), RuntimeError> {
    if group.trim_matches('/').is_empty() {
        return Ok(());
    }
    let hierarchies = Hierarchies::of_this_machine();
    hierarchies.kill(group, PATIENCE).map_err(RuntimeError::io("ending the processes of cgroup", group))?;
    hierarchies.remove(group, PATIENCE).map_err(RuntimeError::io("removing cgroup", group))
}

/// Unmounts what is mounted at or below `dir`, the latest first.
fn unmount_below(dir: &Path) {
    let Ok(dir) = dir.canonicalize() else { return };
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for at in mounts_below(&text, &dir) {
        let _ = unmount(&at, UnmountFlags::DETACH);
    }
}

fn mounts_below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let at = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|p| PathBuf::from(unescape(p)));
    let mut found: Vec<PathBuf> = at.filter(|p| p.starts_with(dir)).collect();
    found.reverse();
    found
}

/// The kernel writes blanks, tabs, newlines and backslashes in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_directory_and_the_last_first() {
        let text = "1 0 0:1 / /a rw - x\n2 1 0:2 / /a/b\\040c rw - x\n3 1 0:3 / /ab rw - x\n4 2 0:4 / /a/b\\040c/d rw - x\n";
        let found = mounts_below(text, Path::new("/a"));
        assert_eq!(found, ["/a/b c/d", "/a/b c", "/a"].map(PathBuf::from));
    }
}
