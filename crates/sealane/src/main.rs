//! sealane: Kubernetes Services as one binary. This crate holds the command line, the wiring and the processes; it is the
//! only one that knows all the others.
//!
//! Invariants: a subcommand that enters a network namespace does so before any thread exists; the pod shim and the
//! `hello` app never touch the rest; everything a cluster leaves on the machine is listed in [`cluster::Paths`].

mod cidr;
mod cli;
mod cluster;
mod config;
mod down;
mod egress;
mod explain;
mod hello;
mod image;
mod kubeconfig;
mod logs;
mod node_command;
mod pki;
mod preflight;
mod process;
mod publish;
mod resolver;
mod run;
mod status;
mod terminal;
mod up;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if program_name(&arguments) == "hello" {
        return hello::main(&arguments);
    }
    if arguments.get(1).is_some_and(|a| a == "run") && arguments.get(2).is_some_and(|a| a == "pod-shim") {
        return sealane_node::runtime::shim_main(arguments.into_iter().skip(3));
    }
    match cli::Cli::read(arguments).and_then(cli::Cli::run) {
        Ok(code) => code,
        Err(error) => {
            terminal::error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// The last part of the name the binary was called by; as `/hello` in its own image it is the web app.
fn program_name(arguments: &[OsString]) -> String {
    let path = arguments.first().map(std::path::PathBuf::from).unwrap_or_default();
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
