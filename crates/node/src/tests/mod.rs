//! The agent as a component: the real API server in this process, a fake container runtime, and real network namespaces
//! of the test's own.

mod explain;
mod fake;
mod lab;
mod pods;
mod streams;
mod tunnel;

use std::path::PathBuf;

/// Runs `test` on a thread with a network and a mount namespace of its own, in a runtime of its own, with a directory
/// of its own. Nothing survives the thread.
pub(crate) fn in_own_namespaces(test: impl AsyncFnOnce(PathBuf) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare();
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = std::time::Duration::from_secs(60);
        let done = runtime.block_on(async { tokio::time::timeout(limit, test(dir.path().to_owned())).await });
        crate::podnet::teardown(dir.path()).unwrap();
        done.expect("the test ends in time");
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[allow(unsafe_code, reason = "unshare on a thread that ends with the test")]
fn unshare() {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: file descriptors are not unshared, so no I/O safety is at stake.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}
