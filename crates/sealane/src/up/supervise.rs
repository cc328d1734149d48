//! `sealane up --foreground`: starts again what dies, and takes the processes down when asked to end.

use crate::cli::CommandError;
use crate::cluster::{self, Cluster};
use crate::process::Record;
use crate::terminal::line;
use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(500);

/// Watches until SIGINT or SIGTERM, then ends the processes and keeps the data.
pub(super) fn supervise(
    cluster: &Cluster,
    mut children: BTreeMap<String, Child>,
) -> Result<(), CommandError> {
    let asked = super::runtime().block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            // Held by another command, such as `down`: what is dead then is not ours to start.
            let Some(_lock) = cluster::try_lock(&cluster.name) else { continue };
            if !cluster.paths().netns("wire").exists() {
                return Ok(false);
            }
            // `node add` may have made it larger.
            let now = Cluster::find(&cluster.name).unwrap_or_else(|_| cluster.clone());
            restart_dead(&now, &mut children);
        }
        Ok::<_, CommandError>(true)
    })?;
    if !asked {
        line(&format!("cluster {} was taken down", cluster.name));
        return Ok(());
    }
    line("ending the processes; the data stays");
    let _lock = cluster::lock(&cluster.name)?;
    crate::down::tear_down(&Cluster::find(&cluster.name)?, true);
    Ok(())
}

fn restart_dead(cluster: &Cluster, children: &mut BTreeMap<String, Child>) {
    let paths = cluster.paths();
    for process in super::processes(cluster) {
        if let Some(child) = children.get_mut(&process) {
            let _ = child.try_wait();
        }
        if Record::live(&paths.process(&process)).is_some() {
            continue;
        }
        match super::spawn(cluster, &process) {
            Ok(child) => {
                line(&format!("{process} had died and was started again"));
                children.insert(process, child);
            }
            Err(error) => line(&format!("{process} is dead and can't be started: {error}")),
        }
    }
}
