//! `sealane list` and `sealane status`: what there is, and what of it is dead.

use crate::cli::{CommandError, OutputArgs, StatusArgs};
use crate::cluster::Cluster;
use crate::process::Record;
use crate::terminal::{line, table};
use crate::{up, wire};
use serde_json::{Value, json};

/// Prints all clusters of this machine.
pub(crate) fn list(arguments: &OutputArgs) -> Result<(), CommandError> {
    let clusters: Vec<Value> = Cluster::all().iter().map(summary).collect();
    if arguments.output.is_some() {
        line(&serde_json::to_string_pretty(&json!({"clusters": clusters}))?);
    } else if clusters.is_empty() {
        line("there are no clusters; `sudo sealane up` makes one");
    } else {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let columns = ["name", "state", "nodes", "api", "data"];
        let rows: Vec<_> = clusters.iter().map(|c| columns.map(|k| text(&c[k])).to_vec()).collect();
        table(&["NAME", "STATE", "NODES", "API", "DATA"], &rows);
    }
    Ok(())
}

fn summary(cluster: &Cluster) -> Value {
    let processes = processes(cluster);
    let alive = processes.iter().filter(|(_, record)| record.is_some()).count();
    let state = match alive {
        0 => "down".to_owned(),
        n if n == processes.len() => "up".to_owned(),
        n => format!("degraded ({n} of {} processes)", processes.len()),
    };
    json!({
        "name": cluster.name, "state": state, "nodes": cluster.nodes,
        "api": format!("https://{}", cluster.addresses().host_api), "data": cluster.data_dir,
    })
}

fn processes(cluster: &Cluster) -> Vec<(String, Option<Record>)> {
    let paths = cluster.paths();
    let with_record = |name: String| {
        let record = Record::live(&paths.process(&name));
        (name, record)
    };
    up::processes(cluster).into_iter().map(with_record).collect()
}

/// True for a node whose link `node stop` has taken down.
fn is_dark(cluster: &Cluster, process: &str) -> bool {
    process.starts_with("node-") && matches!(wire::is_up(cluster, process), Ok(false))
}

/// Prints a cluster's processes; fails if one is dead, so that a script can ask.
pub(crate) fn status(arguments: &StatusArgs) -> Result<(), CommandError> {
    let cluster = Cluster::find(&arguments.name.name)?;
    let processes = processes(&cluster);
    if arguments.output.output.is_some() {
        let list: Vec<Value> = processes
            .iter()
            .map(|(name, record)| json!({"name": name, "alive": record.is_some(), "dark": is_dark(&cluster, name), "pid": record.map(|r| r.pid)}))
            .collect();
        let mut value = summary(&cluster);
        value["processes"] = json!(list);
        line(&serde_json::to_string_pretty(&value)?);
    } else {
        let row = |(name, record): &(String, Option<Record>)| match record {
            Some(record) => {
                let state = if is_dark(&cluster, name) { "dark" } else { "running" };
                vec![name.clone(), state.to_owned(), record.pid.to_string()]
            }
            None => vec![name.clone(), "DEAD".to_owned(), "-".to_owned()],
        };
        line(&format!("cluster {} ({})", cluster.name, cluster.data_dir.display()));
        table(&["PROCESS", "STATE", "PID"], &processes.iter().map(row).collect::<Vec<_>>());
    }
    let dead: Vec<&str> = processes.iter().filter(|(_, r)| r.is_none()).map(|(n, _)| n.as_str()).collect();
    if dead.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not running: {}; `sudo sealane up --name {}` starts what is missing",
        dead.join(", "),
        cluster.name
    )
    .into())
}
