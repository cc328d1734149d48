//! Control groups, as much as is needed beside libcontainer: version 1, version 2, and both at once ("hybrid").
//!
//! In hybrid mode a group is made in the version 2 hierarchy too, although no controller is there: `cgroup.kill` ends
//! everything in it without races between process ids.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The hierarchies of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    /// Mount points of version 1, each with its controllers.
    v1: Vec<(PathBuf, Vec<String>)>,
    /// Mount point of version 2.
    v2: Option<PathBuf>,
}

impl Hierarchies {
    /// As mounted in the caller's mount namespace.
    pub(super) fn of_this_machine() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, fs)) = line.split_once(" - ") else { continue };
            let Some(at) = mount.split(' ').nth(4) else { continue };
            let mut fs = fs.split(' ');
            match (fs.next(), fs.nth(1)) {
                (Some("cgroup2"), _) => found.v2 = found.v2.or(Some(at.into())),
                (Some("cgroup"), Some(options)) => {
                    found.v1.push((at.into(), options.split(',').map(str::to_owned).collect()));
                }
                _ => {}
            }
        }
        found
    }

    /// The version 2 hierarchy beside those of version 1.
    pub(super) fn hybrid(&self) -> Option<&Path> {
        self.v2.as_deref().filter(|_| !self.v1.is_empty())
    }

    /// The directories of a group in all hierarchies, whether or not they exist.
    pub(super) fn directories<'a>(&'a self, group: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.v2
            .iter()
            .chain(self.v1.iter().map(|(at, _)| at))
            .map(move |at| at.join(group.trim_start_matches('/')))
    }

    fn controller(&self, name: &str, group: &str) -> Option<PathBuf> {
        let (at, _) = self.v1.iter().find(|(_, c)| c.iter().any(|c| c == name))?;
        Some(at.join(group.trim_start_matches('/')))
    }

    /// Moves the calling process into the group wherever the group exists.
    pub(super) fn join_existing(&self, group: &str) -> io::Result<()> {
        for dir in self.directories(group).filter(|d| d.exists()) {
            fs::write(dir.join("cgroup.procs"), "0")?;
        }
        Ok(())
    }

    /// Makes the group in the version 2 hierarchy and moves the calling process into it.
    pub(super) fn join_v2(&self, group: &str) -> io::Result<()> {
        let Some(at) = &self.v2 else { return Ok(()) };
        let dir = at.join(group.trim_start_matches('/'));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("cgroup.procs"), "0")
    }

    /// Processes that the kernel killed in the group because its memory was at the limit.
    pub(super) fn oom_kills(&self, group: &str) -> u64 {
        let file = match self.controller("memory", group) {
            Some(dir) => dir.join("memory.oom_control"),
            None => match &self.v2 {
                Some(at) => at.join(group.trim_start_matches('/')).join("memory.events"),
                None => return 0,
            },
        };
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Kills every process in the group and below it, and returns when none is left or after `patience`.
    ///
    /// # Errors
    /// When processes are still there.
    pub(super) fn kill(&self, group: &str, patience: Duration) -> io::Result<()> {
        let end = Instant::now() + patience;
        loop {
            for dir in self.directories(group) {
                drop(fs::write(dir.join("cgroup.kill"), "1"));
            }
            // What is in a version 1 group only, and what started between two looks.
            let pids: Vec<i32> = self.directories(group).flat_map(|d| pids_below(&d)).collect();
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(io::Error::other(format!("processes {pids:?} do not end")));
            }
            for pid in pids.iter().filter_map(|p| rustix::process::Pid::from_raw(*p)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Removes the group and those below it from all hierarchies. A group that was just left can be busy for a while.
    ///
    /// # Errors
    /// When one is still there after `patience`.
    pub(super) fn remove(&self, group: &str, patience: Duration) -> io::Result<()> {
        let end = Instant::now() + patience;
        for dir in self.directories(group) {
            while let Err(e) = remove_tree(&dir) {
                if Instant::now() > end {
                    return Err(e);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn pids_below(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = text.lines().filter_map(|l| l.parse().ok()).collect();
    pids.extend(children(dir).iter().flat_map(|c| pids_below(c)));
    pids
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    for child in children(dir) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_mountinfo() {
        let hybrid = "25 30 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      26 30 0:24 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      27 30 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(hybrid);
        assert_eq!(found.hybrid(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(found.controller("cpuacct", "/a/b"), Some("/sys/fs/cgroup/cpu/a/b".into()));
        assert_eq!(found.directories("a").count(), 3);
        let v2 = Hierarchies::parse("27 30 0:25 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
        assert_eq!(v2.hybrid(), None);
        assert_eq!(v2.directories("/a").collect::<Vec<_>>(), [PathBuf::from("/sys/fs/cgroup/a")]);
    }
}
