//! Executes a command: the last step of a container's first process and of `exec`.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};

use super::child::{Failure, Reporter};
use super::confine::Confinement;

/// Replaces the calling process by the command, with all signals as they are by default. Returns only if that failed.
pub(super) fn execute(args: &[String], env: &[String]) -> Failure {
    let Some((program, args)) = args.split_first() else {
        return Failure::create("no command specified");
    };
    let pairs = env.iter().map(|e| e.split_once('=').unwrap_or((e, "")));
    unblock_signals();
    // The standard library gives SIGPIPE its default action back.
    let error = Command::new(program).args(args).env_clear().envs(pairs).exec();
    Failure::command(program, &error)
}

/// The shim takes its signals through a descriptor, and its children inherit what it blocks for that.
#[allow(unsafe_code)] // Plain system calls on a local set of signals.
fn unblock_signals() {
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Confines a container's first process, executes its command, and reports why that failed.
pub(super) struct Reporting {
    pub(super) reporter: Reporter,
    pub(super) confinement: Confinement,
}

impl Clone for Reporting {
    fn clone(&self) -> Self {
        let socket: UnixStream = self.reporter.0.try_clone().expect("the process has a descriptor to spare");
        Self { reporter: Reporter(socket), confinement: self.confinement.clone() }
    }
}

impl Executor for Reporting {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or(ExecutorError::InvalidArg)?;
        let none = Vec::new();
        let args = process.args().as_ref().unwrap_or(&none);
        let failure = match self.confinement.confine() {
            Ok(()) => execute(args, process.env().as_ref().unwrap_or(&none)),
            Err(error) => Failure::create(error.to_string()),
        };
        let code = failure.exit_code;
        debug_assert!(
            rustix::io::fcntl_getfd(self.reporter.0.as_fd()).is_ok(),
            "the reporter survives until here"
        );
        self.reporter.failed(failure);
        std::process::exit(code)
    }

    /// The kernel's own answer to the execution is what counts.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// The command gets its environment with the execution.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}
