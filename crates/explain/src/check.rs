//! Asks the causes.

use crate::cause::{Cause, Look};
use crate::causes::CAUSES;
use crate::finding::Finding;
use crate::kind::Kind;
use crate::objects::{Meta, Pod, Service};
use crate::snapshot::Unread;
use crate::subject::Subject;
use crate::view::View;

/// What every look needs.
const ALWAYS: &[Kind] = &[Kind::Service, Kind::Pod, Kind::EndpointSlice];

/// All that is wrong in a namespace and with the cluster as a whole, or everywhere, the worst first.
pub fn check(view: &View<'_>, namespace: Option<&str>) -> Vec<Finding> {
    let within = |meta: &Meta| namespace.is_none_or(|namespace| meta.namespace == namespace);
    let services = view.snapshot.services.iter().filter(|service| within(&service.metadata));
    let pods = view.snapshot.pods.iter().filter(|pod| within(&pod.metadata));
    found(view, services, pods)
}

/// What is wrong with some Services, and with the cluster as a whole, the worst first.
pub fn services<'a>(view: &View<'a>, services: impl IntoIterator<Item = &'a Service>) -> Vec<Finding> {
    found(view, services, [])
}

/// What is wrong with a Pod, the Services that select it and the cluster as a whole, the worst first.
pub fn pod<'a>(view: &View<'a>, pod: &'a Pod) -> Vec<Finding> {
    found(view, services_of(view, pod), [pod])
}

/// The Services that select a Pod.
pub(crate) fn services_of<'a>(view: &View<'a>, pod: &Pod) -> Vec<&'a Service> {
    view.routes.services_of(pod)
}

/// Asks all causes for which all that they need could be read.
fn found<'a>(
    view: &View<'a>,
    services: impl IntoIterator<Item = &'a Service>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Vec<Finding> {
    let snapshot = view.snapshot;
    let possible = |cause: &&&Cause| snapshot.has(ALWAYS) && snapshot.has(cause.needs);
    let (mut of_service, mut of_pod, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for cause in CAUSES.iter().filter(possible) {
        match cause.look {
            Look::Service(look) => of_service.push(look),
            Look::Pod(look) => of_pod.push(look),
            Look::Cluster(look) => findings.extend(look(view)),
        }
    }
    for service in services {
        let subject = Subject::new(view, service);
        findings.extend(of_service.iter().flat_map(|look| look(&subject)));
    }
    for pod in pods {
        findings.extend(of_pod.iter().flat_map(|look| look(view, pod)));
    }
    sort(&mut findings);
    findings
}

/// The worst first, each once.
fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        (a.severity, &a.object, a.cause, &a.message).cmp(&(b.severity, &b.object, b.cause, &b.message))
    });
    findings.dedup();
}

/// A kind that may not be read, and the causes that could not be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What could not be read, as `kubectl auth can-i list` calls it.
    pub resource: &'static str,
    /// Why.
    pub why: String,
    /// The names of the causes.
    pub causes: Vec<&'static str>,
}

/// What could not be looked for. Kinds that the server does not know hide nothing.
pub fn skipped(unread: &[Unread]) -> Vec<Skipped> {
    let blind = |kind: Kind| CAUSES.iter().filter(move |c| c.needs.contains(&kind) || ALWAYS.contains(&kind));
    let known = unread.iter().filter_map(|unread| unread.why.as_ref().map(|why| (unread.kind, why)));
    known
        .map(|(kind, why)| Skipped {
            resource: kind.resource().1,
            why: why.clone(),
            causes: blind(kind).map(|cause| cause.name).collect(),
        })
        .filter(|skipped| !skipped.causes.is_empty())
        .collect()
}
