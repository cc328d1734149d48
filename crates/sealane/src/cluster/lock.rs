//! One command at a time works on a cluster: two `up` that both start what is missing would start it twice.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a command waits for another; `up` waits a minute by default, and so do we for it.
const LIMIT: Duration = Duration::from_secs(90);

/// Held while a command changes a cluster. An abstract socket: it is gone with its process, and no file is left.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never used")] UnixListener);

/// Another command kept the cluster too long.
#[derive(Debug, thiserror::Error)]
#[error("another sealane command has been working on cluster {0} for {seconds} s; try again when it is done", seconds = LIMIT.as_secs())]
pub(crate) struct Busy(String);

/// Takes the lock of a cluster, waiting for the command that holds it.
pub(crate) fn lock(name: &str) -> Result<Lock, Busy> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(lock) = try_lock(name) {
            return Ok(lock);
        }
        if Instant::now() > end {
            return Err(Busy(name.to_owned()));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Takes the lock of a cluster if nobody holds it.
pub(crate) fn try_lock(name: &str) -> Option<Lock> {
    let address =
        SocketAddr::from_abstract_name(format!("sealane/{name}")).expect("a cluster's name is short");
    UnixListener::bind_addr(&address).ok().map(Lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_gone_with_it() {
        let name = format!("test-{}", std::process::id());
        let held = try_lock(&name).unwrap();
        assert!(try_lock(&name).is_none());
        assert!(try_lock(&format!("{name}b")).is_some(), "another cluster's is another");
        drop(held);
        assert!(try_lock(&name).is_some());
    }
}
