//! Waits until something is written to a log's directory (inotify).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

/// A watched directory.
#[derive(Debug)]
pub(super) struct Watch {
    fd: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Watches the directory of `log`.
    pub(super) fn new(log: &Path) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        let what = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, super::directory(log), what)?;
        Ok(Self { fd: register(fd)? })
    }

    /// Returns after a change since the last call, and takes all that there are.
    pub(super) async fn changed(&mut self) {
        let Ok(mut ready) = self.fd.readable().await else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.fd.get_ref(), &mut buffer);
        while events.next().is_ok() {}
        ready.clear_ready();
    }
}

#[allow(
    unsafe_code,
    reason = "tokio asks for the promise that the descriptor stays open while it is registered"
)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is registered, and closed after it.
    unsafe { AsyncFd::register(fd) }.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_wakes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut watch = Watch::new(&path).unwrap();
        std::fs::write(&path, "x").unwrap();
        let soon = std::time::Duration::from_secs(5);
        tokio::time::timeout(soon, watch.changed()).await.unwrap();
        let quiet = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(quiet, watch.changed()).await.is_err());
    }
}
