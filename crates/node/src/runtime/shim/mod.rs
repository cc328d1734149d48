//! `sealane run pod-shim`: supervises the containers of one Pod, in a process without threads.
//!
//! It creates them through libcontainer (always in a forked child, so that the library's changes to its process and its
//! memory end with the child), writes their logs and exit records, and answers the agent on a Unix socket. It outlives the
//! agent. Invariants: it is the parent or sub-reaper of every process it starts, so it alone learns how they end; it holds
//! a lock on every image layer in use; it never blocks on anyone who reads or writes.

mod child;
mod clients;
mod confine;
mod container;
mod create;
mod exec;
mod executor;
mod lifecycle;
mod log;
mod requests;
mod seccomp;
mod server;
mod setup;
mod spec;
mod user;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use super::record;

/// Runs the shim: `args` are what follows `run pod-shim`, of which `--dir DIR` (the Pod's directory) counts. Must be called
/// before the process has a second thread. Returns when the shim is listening (it goes on in the background) or failed; what went
/// wrong is on standard error. In the background process it does not return before the shim's end.
pub fn shim_main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(dir) = directory(args) else {
        return fail("pod-shim: --dir DIR is missing");
    };
    let Some(config) = record::read_sandbox(&dir) else {
        return fail(&format!("pod-shim: no sandbox.json in {}", dir.display()));
    };
    let (mut ours, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(e) => return fail(&format!("pod-shim: making a socket pair: {e}")),
    };
    match child::fork(move || background(config, theirs)) {
        Err(e) => fail(&format!("pod-shim: forking: {e}")),
        Ok(_) => {
            let mut said = String::new();
            match ours.read_to_string(&mut said) {
                Ok(_) if said == "ready" => ExitCode::SUCCESS,
                Ok(_) if said.is_empty() => fail("pod-shim: it ended while starting"),
                Ok(_) => fail(&said),
                Err(e) => fail(&format!("pod-shim: {e}")),
            }
        }
    }
}

fn background(config: super::SandboxConfig, mut starter: UnixStream) -> i32 {
    let started = setup::enter(&config).and_then(|(listener, signals)| {
        server::Shim::new(config, listener, signals).map_err(|e| format!("making the shim: {e}"))
    });
    match started {
        Ok(shim) => {
            drop(starter.write_all(b"ready"));
            drop(starter);
            shim.run();
            0
        }
        Err(message) => {
            drop(starter.write_all(format!("pod-shim: {message}").as_bytes()));
            1
        }
    }
}

fn directory(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.find(|a| a == "--dir")?;
    args.next().map(PathBuf::from)
}

#[allow(clippy::print_stderr)] // The agent reads it; there is no logger in this process.
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
