//! The processes of a cluster, as `up` starts them: `sealane run server|publish|node --name NAME`.

pub(crate) mod client;
mod node;
mod server;

use crate::cli::{CommandError, NameArg};
use crate::cluster::Cluster;
use clap::{Args, Subcommand};
use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    process: Process,
}

#[derive(Debug, Subcommand)]
enum Process {
    /// API, store and controllers
    Server(NameArg),
    /// Relays published ports of the host
    Publish(NameArg),
    /// Agent, proxy and DNS of one node
    Node {
        #[command(flatten)]
        name: NameArg,
        #[arg(long)]
        node: String,
    },
}

/// Runs a process until it is told to end. Why it could not start goes to its failure file, for `up` to say.
pub(crate) fn run(arguments: RunArgs) -> Result<(), CommandError> {
    // Away from the terminal of whoever typed `up`; fails only if it leads a session already.
    let _ = rustix::process::setsid();
    start_log();
    let (name, process) = match &arguments.process {
        Process::Server(name) => (name, "server"),
        Process::Publish(name) => (name, "publish"),
        Process::Node { name, node } => (name, node.as_str()),
    };
    let cluster = Cluster::find(&name.name)?;
    let failure = cluster.paths().failure(process);
    let _ = std::fs::remove_file(&failure);
    tracing::info!(process, version = env!("CARGO_PKG_VERSION"), "starting");
    let outcome = match arguments.process {
        Process::Server(_) => server::run(&cluster),
        Process::Publish(_) => crate::publish::run(&cluster),
        Process::Node { node, .. } => node::run(&cluster, &node),
    };
    if let Err(error) = &outcome {
        let sentence = crate::terminal::sentence(error.as_ref());
        tracing::error!("{sentence}");
        let _ = std::fs::write(&failure, sentence);
    }
    outcome
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SEALANE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube_runtime=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
}

/// Runs `work` on a runtime of `threads` workers, with a token that is cancelled by SIGTERM or SIGINT.
pub(crate) fn serve<F, Fut>(threads: usize, work: F) -> Result<(), CommandError>
where
    F: FnOnce(CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), CommandError>>,
{
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).thread_stack_size(1 << 20).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            token.cancel();
        });
        work(shutdown).await
    });
    // What still runs is idempotent and begins again with the next start.
    runtime.shutdown_background();
    outcome
}
