//! `sealane up`: makes a cluster, or starts exactly what is missing of one, and waits until it serves.

mod flags;
mod grow;
mod ready;
mod supervise;

use crate::cli::{CommandError, UpArgs};
use crate::cluster::{self, Cluster};
use crate::process::{self, Record};
use crate::terminal::{Steps, line};
use crate::{down, egress, kubeconfig, pki, preflight, wire};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

pub(crate) use grow::add_node;

/// Why a cluster did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error(
        "cluster {name} was made with other settings: {differences}; leave them out, or `sealane down --name {name}` first"
    )]
    OtherFlags { name: String, differences: String },
    #[error("cannot make {path}", path = .path.display())]
    Directory {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot start the {process} process")]
    Spawn {
        process: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{reason}")]
    Failed { reason: String },
    #[error("the {process} process ended while starting; its last words: {words}")]
    Ended { process: String, words: String },
    #[error(
        "after {seconds} s {what}; `sealane logs --name {name}` tells more (everything is left running, `sealane down --name {name}` removes it)"
    )]
    NotReady { name: String, seconds: u64, what: String },
}

/// The names of a cluster's processes, in the order of need.
pub(crate) fn processes(cluster: &Cluster) -> Vec<String> {
    let mut names = vec!["server".to_owned()];
    names.extend(cluster.node_names());
    names.push("publish".to_owned());
    names
}

/// Makes the cluster or brings it back.
pub(crate) fn up(arguments: &UpArgs) -> Result<(), CommandError> {
    preflight::root("up")?;
    let lock = cluster::lock(&arguments.name.name)?;
    let (cluster, known) = flags::resolve(arguments)?;
    let paths = cluster.paths();
    let mut steps = Steps::new();
    let missing: Vec<String> =
        processes(&cluster).into_iter().filter(|p| Record::live(&paths.process(p)).is_none()).collect();
    if missing.is_empty() {
        merge_context(&cluster)?;
        line(&format!(
            "cluster {} is up; kubectl uses context {}",
            cluster.name,
            kubeconfig::context_name(&cluster.name)
        ));
        return stay(&cluster, BTreeMap::new(), arguments, lock);
    }
    if missing.iter().any(|p| p == "server") {
        preflight::check(&cluster)?;
    }
    if !known {
        preflight::data_directory(&cluster.data_dir)?;
    }
    let fresh_run = !paths.run.join("netns").exists();
    let started = start(&cluster, &missing, &mut steps)
        .and_then(|children| bring_to_ready(&cluster, children, arguments.wait, &mut steps));
    match started {
        Ok(children) => {
            merge_context(&cluster)?;
            greet(&cluster, &steps);
            stay(&cluster, children, arguments, lock)
        }
        Err(error) => {
            // A time-out leaves all as it is to be looked at; a failure leaves nothing of what this call made.
            if fresh_run
                && !error.downcast_ref::<UpError>().is_some_and(|e| matches!(e, UpError::NotReady { .. }))
            {
                down::tear_down(&cluster, known);
            }
            Err(error)
        }
    }
}

/// Returns, or under `--foreground` when asked to end.
fn stay(
    cluster: &Cluster,
    children: BTreeMap<String, Child>,
    arguments: &UpArgs,
    lock: cluster::Lock,
) -> Result<(), CommandError> {
    drop(lock);
    if arguments.foreground { supervise::supervise(cluster, children) } else { Ok(()) }
}

fn start(
    cluster: &Cluster,
    missing: &[String],
    steps: &mut Steps,
) -> Result<BTreeMap<String, Child>, CommandError> {
    let paths = cluster.paths();
    make_directory(&paths.run)?;
    make_directory(&paths.data)?;
    cluster.write(&paths.run)?;
    cluster.write(&paths.data)?;
    pki::ensure(cluster)?;
    steps.done("certificates");
    wire::ensure(cluster)?;
    let dropping = egress::ensure(cluster)?;
    steps.done(&format!("network: {} in namespaces of their own", plural(cluster.nodes, "node")));
    if !dropping.is_empty() {
        let chains = dropping.join(", ");
        line(&format!("  ! Pods may not reach the outside: the host drops forwarded packets in {chains}"));
    }
    if let Some(warning) = crate::resolver::warning(cluster.egress) {
        line(&format!("  ! {warning}"));
    }
    let mut children = BTreeMap::new();
    for process in missing {
        children.insert(process.clone(), spawn(cluster, process)?);
    }
    crate::image::ensure_builtin(cluster)?;
    steps.done("processes started, image localhost/hello");
    Ok(children)
}

/// Starts one process of the cluster.
pub(crate) fn spawn(cluster: &Cluster, process: &str) -> Result<Child, UpError> {
    let arguments: &[&str] =
        if process.starts_with("node-") { &["node", "--node", process] } else { &[process] };
    process::spawn(cluster, process, arguments)
        .map_err(|source| UpError::Spawn { process: process.to_owned(), source })
}

fn bring_to_ready(
    cluster: &Cluster,
    mut children: BTreeMap<String, Child>,
    limit: Duration,
    steps: &mut Steps,
) -> Result<BTreeMap<String, Child>, CommandError> {
    runtime().block_on(ready::wait(cluster, &mut children, limit, steps))?;
    Ok(children)
}

fn make_directory(path: &Path) -> Result<(), UpError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|source| UpError::Directory { path: path.to_owned(), source })
}

fn merge_context(cluster: &Cluster) -> Result<(), CommandError> {
    let directory = cluster.paths().pki();
    let server = format!("https://{}", cluster.addresses().host_api);
    let admin = pki::identity(&directory, "admin")?;
    kubeconfig::merge(&cluster.kubeconfig, &cluster.name, &server, &pki::ca_pem(&directory)?, &admin)?;
    Ok(())
}

fn greet(cluster: &Cluster, steps: &Steps) {
    line(&format!(
        "cluster {} is up after {} ms: {}",
        cluster.name,
        steps.total_ms(),
        plural(cluster.nodes, "node")
    ));
    line(&format!(
        "kubectl uses context {} in {}; next, for example:",
        kubeconfig::context_name(&cluster.name),
        cluster.kubeconfig.display()
    ));
    line("  kubectl create deployment web --image=localhost/hello --port=8080 --replicas=3");
    line("  kubectl expose deployment web --type=NodePort && kubectl get svc web");
}

fn plural(count: u32, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A runtime for the commands that only wait.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only an epoll descriptor")
}
