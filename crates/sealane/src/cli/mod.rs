//! The command line: what may be typed, and nothing of what it does.

mod look;
mod values;

use crate::cidr::Cidr;
use crate::cluster::{Egress, PortRange};
use clap::{Args, Parser, Subcommand};
pub(crate) use look::{CheckArgs, ExplainArgs, LookArgs};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use values::{duration, name, port_range};

/// Kubernetes Services as one binary: a cluster on this machine in under a second.
#[derive(Debug, Parser)]
#[command(name = "sealane", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sudo sealane up                         make a cluster, and let kubectl use it
  kubectl create deployment web --image=localhost/hello --port=8080 --replicas=3
  kubectl expose deployment web --type=NodePort
  sealane explain svc/web                 say why it does or does not answer, on any cluster
  sudo sealane image load app.tar         what `docker save` wrote
  sudo sealane down                       remove all of it";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a cluster on this machine, or bring it back
    Up(UpArgs),
    /// Remove a cluster: processes, namespaces, mounts, cgroups, files and its kubectl context
    Down(DownArgs),
    /// List the clusters of this machine
    List(OutputArgs),
    /// Show a cluster's processes and nodes, and name what is dead
    Status(StatusArgs),
    /// Print the logs of a cluster's processes
    Logs(LogsArgs),
    /// Load, list and remove images; every node sees them
    Image(ImageArgs),
    /// Add a node, or take one's network down and up again
    Node(NodeArgs),
    /// Say why a Service does or does not reach its Pods, on any Kubernetes
    Explain(ExplainArgs),
    /// Say all that is wrong with the Services of a namespace or a cluster, on any Kubernetes
    Check(CheckArgs),
    /// Print the version
    Version,
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    #[command(hide = true)]
    Run(crate::run::RunArgs),
}

/// Every command takes the cluster's name.
#[derive(Debug, Args)]
pub(crate) struct NameArg {
    /// The cluster's name
    #[arg(long, default_value = "default", env = "SEALANE_NAME", value_parser = name)]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:
  sudo sealane up
  sudo sealane up --nodes 3 --name big --api-port 6444
  sudo sealane up --egress none           the host's network stays exactly as it is
  sudo sealane up --config cluster.yml    with lines such as `nodes: 3`; flags and SEALANE_… come first",
    args_override_self = true
)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// A YAML file with these settings, a key for each flag
    #[arg(long, env = "SEALANE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How many nodes [default: 1]
    #[arg(long, env = "SEALANE_NODES", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) nodes: Option<u32>,
    /// The kubeconfig to merge the context into [default: $KUBECONFIG or ~/.kube/config]
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Where objects, images and logs are kept [default: /var/lib/sealane/NAME]
    #[arg(long, env = "SEALANE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The range of ClusterIPs [default: 10.96.0.0/16]
    #[arg(long, env = "SEALANE_SERVICE_CIDR")]
    pub(crate) service_cidr: Option<Cidr>,
    /// The range of Pod addresses, a /24 a node [default: 10.244.0.0/16]
    #[arg(long, env = "SEALANE_POD_CIDR")]
    pub(crate) pod_cidr: Option<Cidr>,
    /// The range of node addresses [default: 10.123.0.0/16]
    #[arg(long, env = "SEALANE_NODE_CIDR")]
    pub(crate) node_cidr: Option<Cidr>,
    /// The range of NodePorts [default: 30000-32767]
    #[arg(long, env = "SEALANE_NODE_PORT_RANGE", value_parser = port_range)]
    pub(crate) node_port_range: Option<PortRange>,
    /// The API's port on 127.0.0.1 [default: 6443]
    #[arg(long, env = "SEALANE_API_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) api_port: Option<u16>,
    /// The host address at which NodePorts and load-balancer ports are published [default: 127.0.0.1]
    #[arg(long, env = "SEALANE_PUBLISH")]
    pub(crate) publish: Option<IpAddr>,
    /// Whether Pods reach the outside: nat or none [default: nat]
    #[arg(long, env = "SEALANE_EGRESS")]
    pub(crate) egress: Option<Egress>,
    /// How long to wait for the nodes to be Ready and the DNS to answer
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// Stay, start again what dies, and take the processes down on Ctrl-C (the data stays)
    #[arg(long)]
    pub(crate) foreground: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// End the processes but keep objects and context; the next `up` brings the cluster back
    #[arg(long)]
    pub(crate) keep_data: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print JSON
    #[arg(short, long)]
    pub(crate) output: Option<Output>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// server, publish or a node such as node-1 [default: all]
    pub(crate) component: Option<String>,
    /// Keep printing what is added
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin with the last N lines
    #[arg(long, default_value_t = 200)]
    pub(crate) tail: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Load the images of a `docker save` or OCI archive
    Load {
        #[command(flatten)]
        name: NameArg,
        /// The archive; - reads standard input
        file: PathBuf,
    },
    /// List the images
    Ls {
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove an image
    Rm {
        #[command(flatten)]
        name: NameArg,
        /// Its name, such as localhost/app:1
        image: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// The machine goes dark: its link goes down, nothing is closed
    Stop(NodeTarget),
    /// It is back
    Start(NodeTarget),
    /// Make one more node, and wait until it is Ready
    Add(AddArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// The node's name; nodes are numbered, so it is the next one's [default: that]
    pub(crate) node: Option<String>,
    /// How long to wait for the node to be Ready and its DNS to answer
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct NodeTarget {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// The node, such as node-1
    pub(crate) node: String,
}

/// What any command may fail with; it is only ever printed.
pub(crate) type CommandError = Box<dyn std::error::Error>;

impl Cli {
    /// Reads the command line, and the file that its `--config` names. Ends the program for a wrong one, as clap does.
    pub(crate) fn read(arguments: Vec<OsString>) -> Result<Self, CommandError> {
        let typed = Self::parse_from(&arguments);
        match &typed.command {
            Command::Up(UpArgs { config: Some(path), .. }) => {
                Ok(Self::parse_from(crate::config::expand(&arguments, path)?))
            }
            _ => Ok(typed),
        }
    }

    /// Does what was typed, and says with what code the program is to end.
    pub(crate) fn run(self) -> Result<ExitCode, CommandError> {
        let done = match self.command {
            Command::Explain(arguments) => return crate::explain::explain(&arguments),
            Command::Check(arguments) => return crate::explain::check_all(&arguments),
            Command::Up(arguments) => crate::up::up(&arguments),
            Command::Down(arguments) => crate::down::down(&arguments),
            Command::List(arguments) => crate::status::list(&arguments),
            Command::Status(arguments) => crate::status::status(&arguments),
            Command::Logs(arguments) => crate::logs::logs(&arguments),
            Command::Image(arguments) => crate::image::image(arguments.command),
            Command::Node(arguments) => crate::node_command::node(arguments.command),
            Command::Version => {
                crate::terminal::line(&format!("sealane {}", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
            Command::Completion { shell } => {
                let mut command = <Self as clap::CommandFactory>::command();
                clap_complete::generate(shell, &mut command, "sealane", &mut std::io::stdout());
                Ok(())
            }
            Command::Run(arguments) => crate::run::run(arguments),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
