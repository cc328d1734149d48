//! `sealane explain` and `sealane check`: reads a cluster, any Kubernetes, and says why its Services do or do not answer.
//!
//! Invariant: nothing but `get` and `list` is asked for, whatever the cluster.

mod connect;
mod extra;
mod probe;
mod read;
mod render;
mod target;

use crate::cli::{CheckArgs, CommandError, ExplainArgs, LookArgs};
use connect::{Connection, connect};
use jiff::Timestamp;
use read::Scope;
use sealane_explain::{Finding, Kind, Skipped, Snapshot, View, check, skipped};
use std::process::ExitCode;
use target::Target;

/// Something is wrong; 1 would say that it could not be looked.
const FINDINGS: u8 = 2;

/// What a command has found out.
struct Report {
    /// Each Service, Pod or Deployment that was asked about, with what it does.
    summaries: Vec<(String, String)>,
    findings: Vec<Finding>,
    skipped: Vec<Skipped>,
}

/// Explains a Service, a Pod, a workload, or all Services of a namespace.
pub(crate) fn explain(arguments: &ExplainArgs) -> Result<ExitCode, CommandError> {
    let target = Target::parse(&arguments.target)?;
    run(&arguments.look, async |connection| {
        let snapshot = look(connection, Scope::Namespace, arguments.probe, Some(&target)).await?;
        let view = View::new(&snapshot);
        let (summaries, findings) = target.explain(&view, &connection.namespace)?;
        Ok(Report { summaries, findings, skipped: skipped(&snapshot.unread) })
    })
}

/// Says all that is wrong in a namespace or in the cluster.
pub(crate) fn check_all(arguments: &CheckArgs) -> Result<ExitCode, CommandError> {
    let scope = if arguments.all_namespaces { Scope::All } else { Scope::Namespace };
    run(&arguments.look, async |connection| {
        let snapshot = look(connection, scope, arguments.probe, None).await?;
        let namespace = (scope == Scope::Namespace).then_some(connection.namespace.as_str());
        let view = View::new(&snapshot);
        let findings = check(&view, namespace);
        let within =
            |s: &&sealane_explain::objects::Service| namespace.is_none_or(|n| s.metadata.namespace == n);
        let services = snapshot.services.iter().filter(within).count();
        let place = namespace.map_or_else(|| "the cluster".to_owned(), |n| format!("namespace {n}"));
        let summary = render::total(services, &place, findings.len());
        Ok(Report { summaries: vec![(String::new(), summary)], findings, skipped: skipped(&snapshot.unread) })
    })
}

fn run(
    look: &LookArgs,
    report: impl AsyncFnOnce(&Connection) -> Result<Report, CommandError>,
) -> Result<ExitCode, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        let connection = connect(look).await?;
        report(&connection).await
    })?;
    match look.output.output {
        Some(_) => render::json(&report)?,
        None => render::text(&report),
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

/// Reads all that the causes look at.
async fn look(
    connection: &Connection,
    scope: Scope,
    probing: bool,
    target: Option<&Target>,
) -> Result<Snapshot, CommandError> {
    let mut snapshot = read::lists(connection, scope).await;
    snapshot.now = Timestamp::now();
    let needed = [Kind::Service, Kind::Pod, Kind::EndpointSlice];
    if let Some(unread) = snapshot.unread.iter().find(|unread| needed.contains(&unread.kind)) {
        let why = unread.why.as_deref().unwrap_or("the API server does not know them");
        return Err(
            format!("cannot list {} at {}: {why}", unread.kind.resource().1, connection.server).into()
        );
    }
    if scope == Scope::Namespace {
        extra::cluster_dns(connection, &mut snapshot).await;
        extra::other_namespaces(connection, &mut snapshot).await;
    }
    extra::words(connection, &mut snapshot).await;
    if probing {
        probe::probe(connection, &mut snapshot, target).await;
    }
    Ok(snapshot)
}
