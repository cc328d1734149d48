//! `sealane node`: adds a machine to the cluster, and takes one dark and brings it back, for failure tests.

use crate::cli::{CommandError, NodeCommand, NodeTarget};
use crate::cluster::{self, Cluster};
use crate::terminal::line;
use crate::{preflight, up, wire};

/// Adds a node, or takes a node's link down or up.
pub(crate) fn node(command: NodeCommand) -> Result<(), CommandError> {
    preflight::root("node")?;
    match command {
        NodeCommand::Stop(target) => set_link(&target, false),
        NodeCommand::Start(target) => set_link(&target, true),
        NodeCommand::Add(arguments) => up::add_node(&arguments),
    }
}

fn set_link(target: &NodeTarget, up: bool) -> Result<(), CommandError> {
    let _lock = cluster::lock(&target.name.name)?;
    let cluster = Cluster::find(&target.name.name)?;
    let nodes = cluster.node_names();
    if !nodes.contains(&target.node) {
        return Err(format!("there is no node {}; there are {}", target.node, nodes.join(", ")).into());
    }
    wire::set_node_link(&cluster, &target.node, up)?;
    line(&format!("{} is {}", target.node, if up { "back on the network" } else { "dark" }));
    Ok(())
}
