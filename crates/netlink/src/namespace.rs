//! Network namespaces that a bind-mounted file keeps alive, as `ip netns` makes them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Makes a namespace and pins it at `path`, which must not exist. `lo` is down in it.
///
/// # Errors
/// The system call's; nothing is left then.
pub fn pin(path: &Path) -> io::Result<()> {
    File::create_new(path)?;
    let target = path.to_owned();
    // unshare affects the thread that calls it: one that ends at once.
    let made = std::thread::spawn(move || {
        new_namespace()?;
        Ok::<_, io::Error>(mount_bind("/proc/thread-self/ns/net", &target)?)
    });
    let made = made.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes it panicked")));
    if made.is_err() {
        let _ = fs::remove_file(path);
    }
    made
}

#[allow(unsafe_code, reason = "unsafe for UnshareFlags::FILES only, which is not used")]
fn new_namespace() -> io::Result<()> {
    // SAFETY: the table of descriptors stays shared.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Whether `path` is a pinned namespace, not a plain file that a crash left behind.
pub fn is_pinned(path: &Path) -> bool {
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    rustix::fs::statfs(path).is_ok_and(|s| u64::try_from(s.f_type).is_ok_and(|t| t == NSFS_MAGIC))
}

/// Unpins what is pinned and removes the file; no error if there is none. The namespace goes with its last process.
///
/// # Errors
/// The system call's.
pub fn unpin(path: &Path) -> io::Result<()> {
    while is_pinned(path) {
        unmount(path, UnmountFlags::DETACH)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves the calling thread into the namespace pinned at `path`.
///
/// # Errors
/// When there is none.
pub fn enter(path: &Path) -> io::Result<()> {
    Ok(move_into_link_name_space(File::open(path)?.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Runs `work` on a short-lived thread in the namespace pinned at `path`.
///
/// # Errors
/// When it cannot be entered.
pub fn run<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| enter(path).map(|()| work()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
