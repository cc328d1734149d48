//! What may be typed after `explain` and `check`, which look at any cluster.

use super::OutputArgs;
use super::values::name;
use clap::Args;
use std::path::PathBuf;

/// Which cluster to look at, and how to tell of it.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// The namespace [default: the context's]
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// The kubeconfig [default: the files of $KUBECONFIG, or ~/.kube/config]
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// A cluster of `sealane up`: the context sealane-NAME
    #[arg(long, value_parser = name, conflicts_with = "context")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealane explain svc/web                 why it does or does not answer
  sealane explain deploy/web -n shop      the Services before a Deployment's Pods
  sealane explain                         every Service of the namespace
  sealane explain svc/web -o json | jq -r '.findings[].fix'

It only reads (get and list), and never Secrets or the values of environment variables.
Exit code: 0 healthy, 2 something is wrong, 1 it could not look.")]
pub(crate) struct ExplainArgs {
    /// svc/NAME, pod/NAME, deploy/NAME, sts/NAME or ds/NAME [default: all Services of the namespace]
    #[arg(num_args = 0..=2)]
    pub(crate) target: Vec<String>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Also try the Pods' ports (GET / through the API server) and look external names up from here
    #[arg(long)]
    pub(crate) probe: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealane check                           the namespace of the current context
  sealane check -A                        the whole cluster
  sealane check -A --context prod -o json

It only reads (get and list), and never Secrets or the values of environment variables.
Exit code: 0 nothing is wrong, 2 something is, 1 it could not look.")]
pub(crate) struct CheckArgs {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Also try the Pods' ports (GET / through the API server) and look external names up from here
    #[arg(long)]
    pub(crate) probe: bool,
}
