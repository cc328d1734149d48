//! `sealane down`: leaves nothing of a cluster behind, whatever state it was in.

use crate::cli::{CommandError, DownArgs};
use crate::cluster::{self, Cluster, ClusterError, Paths};
use crate::process::Record;
use crate::terminal::line;
use crate::{kubeconfig, preflight, wire};
use std::path::Path;
use std::time::Duration;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Removes the cluster, or with `--keep-data` ends what runs of it.
pub(crate) fn down(arguments: &DownArgs) -> Result<(), CommandError> {
    preflight::root("down")?;
    let name = &arguments.name.name;
    let _lock = cluster::lock(name)?;
    let cluster = match Cluster::find(name) {
        Ok(cluster) => cluster,
        Err(ClusterError::Unknown(_)) => {
            line(&format!("there is no cluster {name}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    tear_down(&cluster, arguments.keep_data);
    let left = leftovers(&cluster, arguments.keep_data);
    if !left.is_empty() {
        return Err(format!("could not remove everything of cluster {name}: {}", left.join(", ")).into());
    }
    let what = if arguments.keep_data { "is down; its objects are kept in" } else { "is gone, and with it" };
    line(&format!("cluster {name} {what} {}", cluster.data_dir.display()));
    Ok(())
}

/// Ends and removes all that runs of the cluster, and its data and context unless they are kept. Goes on after a failure: what is
/// left then is found by looking.
pub(crate) fn tear_down(cluster: &Cluster, keep_data: bool) {
    let paths = cluster.paths();
    end_processes(cluster);
    say(sealane_node::runtime::reap_cluster(&paths.cgroup, &[&paths.run, &paths.data]));
    wait_until_gone(&paths.cgroup);
    say(crate::egress::remove(cluster));
    for node in cluster.node_names() {
        say(sealane_node::teardown(&paths.node_run(&node), &paths.node_data(&node)));
    }
    wire::remove(&paths.run.join("netns"));
    remove_directory(&paths.run);
    if keep_data {
        // Only the pointer to the data stays, so that `list` and the next `up` find it.
        let _ = std::fs::create_dir_all(&paths.run).map(|()| cluster.write(&paths.run));
    } else {
        remove_directory(&paths.data);
        say(kubeconfig::remove(&cluster.kubeconfig, &cluster.name));
    }
    for root in Paths::roots() {
        // Fails while another cluster is there, as it should.
        let _ = std::fs::remove_dir(root);
    }
}

/// Processes that were killed stay in /proc until init has taken note of them; `down` is done when they are gone.
fn wait_until_gone(cgroup: &str) {
    let of_cluster = |entry: &std::fs::DirEntry| {
        let groups = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        groups.lines().any(|line| line.contains(&format!("/{cgroup}/")))
    };
    let end = std::time::Instant::now() + GRACE;
    while std::time::Instant::now() < end
        && std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| of_cluster(&entry))
    {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn say<E: std::error::Error>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        crate::terminal::error(&error);
    }
}

/// All processes get the signal at once, then each is waited for; the nodes last, so that Pods are left to nobody.
fn end_processes(cluster: &Cluster) {
    let paths = cluster.paths();
    let records: Vec<Record> =
        crate::up::processes(cluster).iter().filter_map(|p| Record::live(&paths.process(p))).collect();
    let threads: Vec<_> = records.into_iter().map(|r| std::thread::spawn(move || r.end(GRACE))).collect();
    for thread in threads {
        let _ = thread.join();
    }
}

fn remove_directory(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}

fn leftovers(cluster: &Cluster, keep_data: bool) -> Vec<String> {
    let paths = cluster.paths();
    let mut left = Vec::new();
    if !keep_data {
        left.extend([&paths.run, &paths.data].iter().filter(|p| p.exists()).map(|p| p.display().to_string()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = [&paths.run, &paths.data].map(|p| format!(" {}/", p.display()));
    left.extend(
        mounts.lines().filter(|l| below.iter().any(|b| l.contains(b.as_str()))).map(|l| format!("mount {l}")),
    );
    left
}
