//! Which cluster the flags of `up` mean: one that is known, or a new one with the defaults filled in.

use super::UpError;
use crate::cidr::Cidr;
use crate::cli::{CommandError, UpArgs};
use crate::cluster::{Cluster, Egress, Paths, PortRange, SCHEMA};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// The cluster, and whether it was made before.
pub(super) fn resolve(arguments: &UpArgs) -> Result<(Cluster, bool), CommandError> {
    let name = &arguments.name.name;
    let run = Paths::run_of(name);
    let data = arguments.data_dir.as_deref().map_or_else(|| Paths::default_data(name), absolute);
    let stored = match Cluster::read(&run)? {
        Some(cluster) => Some(cluster),
        None => Cluster::read(&data)?,
    };
    match stored {
        Some(mut cluster) => {
            differences(arguments, &cluster)?;
            if let Some(path) = &arguments.kubeconfig {
                cluster.kubeconfig = absolute(path);
            }
            Ok((cluster, true))
        }
        None => Ok((fresh(arguments, data), false)),
    }
}

fn fresh(arguments: &UpArgs, data_dir: PathBuf) -> Cluster {
    let cidr = |given: Option<Cidr>, default: &str| {
        given.unwrap_or_else(|| default.parse().expect("a valid default"))
    };
    Cluster {
        schema: SCHEMA,
        name: arguments.name.name.clone(),
        nodes: arguments.nodes.unwrap_or(1),
        data_dir,
        kubeconfig: arguments.kubeconfig.as_deref().map_or_else(crate::kubeconfig::default_path, absolute),
        service_cidr: cidr(arguments.service_cidr, "10.96.0.0/16"),
        pod_cidr: cidr(arguments.pod_cidr, "10.244.0.0/16"),
        node_cidr: cidr(arguments.node_cidr, "10.123.0.0/16"),
        node_ports: arguments.node_port_range.unwrap_or(PortRange { first: 30000, last: 32767 }),
        api_port: arguments.api_port.unwrap_or(6443),
        publish: arguments.publish.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        egress: arguments.egress.unwrap_or(Egress::Nat),
    }
}

/// A flag that was given must say what the cluster was made with; all that do not are named.
fn differences(arguments: &UpArgs, cluster: &Cluster) -> Result<(), UpError> {
    let mut found = Vec::new();
    let data_dir = arguments.data_dir.as_deref().map(absolute);
    differs(&mut found, "--nodes", arguments.nodes, cluster.nodes);
    differs(&mut found, "--data-dir", data_dir, cluster.data_dir.clone());
    differs(
        &mut found,
        "--service-cidr",
        arguments.service_cidr.map(|c| c.to_string()),
        cluster.service_cidr.to_string(),
    );
    differs(
        &mut found,
        "--pod-cidr",
        arguments.pod_cidr.map(|c| c.to_string()),
        cluster.pod_cidr.to_string(),
    );
    differs(
        &mut found,
        "--node-cidr",
        arguments.node_cidr.map(|c| c.to_string()),
        cluster.node_cidr.to_string(),
    );
    let range = |r: PortRange| format!("{}-{}", r.first, r.last);
    differs(&mut found, "--node-port-range", arguments.node_port_range.map(range), range(cluster.node_ports));
    differs(&mut found, "--api-port", arguments.api_port, cluster.api_port);
    differs(&mut found, "--publish", arguments.publish, cluster.publish);
    differs(&mut found, "--egress", arguments.egress, cluster.egress);
    if found.is_empty() {
        return Ok(());
    }
    Err(UpError::OtherFlags { name: cluster.name.clone(), differences: found.join(", ") })
}

fn differs<T: PartialEq + Debug>(found: &mut Vec<String>, flag: &str, given: Option<T>, stored: T) {
    if let Some(given) = given.filter(|g| *g != stored) {
        let plain = |v: &T| format!("{v:?}").trim_matches('"').to_lowercase();
        found.push(format!("{flag} is {}, not {}", plain(&stored), plain(&given)));
    }
}

/// Processes run in `/`, so every path is made absolute when it is given.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn arguments(flags: &[&str]) -> UpArgs {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            up: UpArgs,
        }
        let _ = Cli::try_parse_from(["sealane", "version"]).unwrap();
        Only::try_parse_from([&["up"], flags].concat()).unwrap().up
    }

    #[test]
    fn flags_left_out_are_the_stored_ones() {
        let cluster = fresh(&arguments(&["--nodes", "3"]), "/data".into());
        assert!(differences(&arguments(&[]), &cluster).is_ok());
        assert!(differences(&arguments(&["--nodes", "3"]), &cluster).is_ok());
    }

    #[test]
    fn all_flags_that_differ_are_named() {
        let cluster = fresh(&arguments(&[]), "/data".into());
        let given = arguments(&["--nodes", "3", "--service-cidr", "10.1.0.0/16", "--egress", "none"]);
        let text = differences(&given, &cluster).unwrap_err().to_string();
        for part in [
            "--nodes is 1, not 3",
            "--service-cidr is 10.96.0.0/16, not 10.1.0.0/16",
            "--egress is nat, not none",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
