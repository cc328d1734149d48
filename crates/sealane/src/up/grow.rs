//! `sealane node add`: one more node for a cluster that runs.

use super::{UpError, bring_to_ready, processes, start};
use crate::cli::{AddArgs, CommandError};
use crate::cluster::{self, Cluster};
use crate::process::Record;
use crate::terminal::{Steps, line};
use crate::{preflight, wire};
use std::time::Duration;

/// How long the process of a node that did not come up may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Adds the next node and returns when it is Ready and its DNS answers.
pub(crate) fn add_node(arguments: &AddArgs) -> Result<(), CommandError> {
    let name = &arguments.name.name;
    let _lock = cluster::lock(name)?;
    let before = Cluster::find(name)?;
    let paths = before.paths();
    let dead = processes(&before).into_iter().find(|process| Record::live(&paths.process(process)).is_none());
    if let Some(dead) = dead {
        return Err(format!("{dead} does not run; `sudo sealane up --name {name}` first").into());
    }
    let node = format!("node-{}", before.nodes + 1);
    if let Some(wanted) = arguments.node.as_ref().filter(|wanted| **wanted != node) {
        return Err(format!("the next node is called {node}, not {wanted}").into());
    }
    let grown = Cluster { nodes: before.nodes + 1, ..before.clone() };
    preflight::ranges(&grown)?;
    let mut steps = Steps::new();
    let outcome = start(&grown, std::slice::from_ref(&node), &mut steps)
        .and_then(|children| bring_to_ready(&grown, children, arguments.wait, &mut steps));
    match outcome {
        Ok(_) => {
            line(&format!("{node} is Ready after {} ms", steps.total_ms()));
            Ok(())
        }
        Err(error) => {
            if !matches!(error.downcast_ref::<UpError>(), Some(UpError::NotReady { .. })) {
                undo(&before, &node);
            }
            Err(error)
        }
    }
}

/// Takes back what was made of a node that could not be started.
fn undo(before: &Cluster, node: &str) {
    let paths = before.paths();
    if let Some(record) = Record::live(&paths.process(node)) {
        record.end(GRACE);
    }
    let _ = std::fs::remove_file(paths.process(node));
    wire::unpin(&paths.netns(node));
    for directory in [&paths.run, &paths.data] {
        if let Err(error) = before.write(directory) {
            crate::terminal::error(&error);
        }
    }
}
