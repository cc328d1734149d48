//! `--probe`: tries what reading cannot tell. A connection is made by the API server (`pods/proxy`, verb `get`), so this sends
//! `GET /` to each port that is tried: it is only done on request.

use super::connect::Connection;
use super::read::get;
use super::target::Target;
use futures::StreamExt;
use sealane_explain::{Served, Snapshot, Subject, View};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many ports are tried at most, and how many at once.
const MOST: usize = 200;
const AT_ONCE: usize = 10;
/// Then it is not known.
const PATIENCE: Duration = Duration::from_secs(3);

/// A port of a Pod.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    namespace: String,
    pod: String,
    uid: String,
    number: u32,
}

/// Tries the ports of which nobody knows whether they are served, and looks external names up.
pub(super) async fn probe(connection: &Connection, snapshot: &mut Snapshot, target: Option<&Target>) {
    let ports = unknown(snapshot, target);
    let tried = ports.into_iter().take(MOST).map(|port| async move {
        let Port { namespace, pod, number, .. } = &port;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{number}/proxy/");
        let answer = tokio::time::timeout(PATIENCE, get(&connection.once, &path)).await;
        (port, answer.ok().and_then(taken))
    });
    let tried: Vec<_> = futures::stream::iter(tried).buffer_unordered(AT_ONCE).collect().await;
    let known = tried.into_iter().filter_map(|(port, taken)| Some(((port.uid, port.number), taken?)));
    snapshot.probed.extend(known);
    for service in snapshot.services.iter().filter(|service| service.is_external_name()) {
        let name = service.spec.external_name.trim_end_matches('.').to_owned();
        if let Ok(Some(found)) = tokio::time::timeout(PATIENCE, has_address(&name)).await {
            snapshot.resolved.insert(name, found);
        }
    }
}

/// Whether this machine's resolver knows an address of that name; `None` if it could not ask.
async fn has_address(name: &str) -> Option<bool> {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(mut addresses) => Some(addresses.next().is_some()),
        // EAI_NONAME and EAI_NODATA: they come without a code of their own.
        Err(error) => {
            let said = error.to_string();
            let absent = said.contains("not known") || said.contains("No address associated");
            absent.then_some(false)
        }
    }
}

/// The TCP ports that Services lead to and of which no node says whether they are served.
fn unknown(snapshot: &Snapshot, target: Option<&Target>) -> BTreeSet<Port> {
    let view = View::new(snapshot);
    let asked = snapshot.services.iter().filter(|service| target.is_none_or(|t| t.is_about(&view, service)));
    let mut ports = BTreeSet::new();
    for service in asked {
        let subject = Subject::new(&view, service);
        for port in service.spec.ports.iter().filter(|port| port.protocol() == "TCP") {
            for (pod, number) in subject.targets(port) {
                let Some(number) = number.filter(|n| view.served(pod, "TCP", *n) == Served::Unknown) else {
                    continue;
                };
                if pod.is_ready() {
                    let meta = &pod.metadata;
                    let (namespace, pod, uid) = (meta.namespace.clone(), meta.name.clone(), meta.uid.clone());
                    ports.insert(Port { namespace, pod, uid, number });
                }
            }
        }
    }
    ports
}

/// Whether something took the connection, whatever it then said; `None` if that cannot be told.
fn taken(answer: Result<String, kube::Error>) -> Option<bool> {
    match answer {
        Ok(_) => Some(true),
        Err(kube::Error::Api(status)) => {
            let said = status.message.to_lowercase();
            let refused = said.contains("connection refused");
            let silent = ["timeout", "timed out", "no route", "unreachable", "forbidden"];
            match (refused, silent.iter().any(|word| said.contains(word)) || status.code == 403) {
                (true, _) => Some(false),
                (_, true) => None,
                _ => Some(true),
            }
        }
        Err(_) => None,
    }
}
