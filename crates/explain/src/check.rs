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
    let mut findings: Vec<Finding> = services.flat_map(|service| of_service(view, service)).collect();
    let pods = view.snapshot.pods.iter().filter(|pod| within(&pod.metadata));
    findings.extend(pods.flat_map(|pod| of_pod(view, pod)));
    findings.extend(of_cluster(view));
    sorted(findings)
}

/// What is wrong with a Service, and with the cluster as a whole, the worst first.
pub fn service(view: &View<'_>, service: &Service) -> Vec<Finding> {
    let mut findings = of_service(view, service);
    findings.extend(of_cluster(view));
    sorted(findings)
}

/// What is wrong with a Pod and the Services that select it, the worst first.
pub fn pod(view: &View<'_>, pod: &Pod) -> Vec<Finding> {
    let mut findings = of_pod(view, pod);
    findings.extend(of_cluster(view));
    for service in services_of(view, pod) {
        findings.extend(of_service(view, service));
    }
    sorted(findings)
}

/// The Services that select a Pod.
pub(crate) fn services_of<'a>(view: &View<'a>, pod: &Pod) -> Vec<&'a Service> {
    view.routes.services_of(pod)
}

fn of_service(view: &View<'_>, service: &Service) -> Vec<Finding> {
    let subject = Subject::new(view, service);
    let looks = possible(view).filter_map(|cause| match cause.look {
        Look::Service(look) => Some(look),
        _ => None,
    });
    looks.flat_map(|look| look(&subject)).collect()
}

fn of_pod(view: &View<'_>, pod: &Pod) -> Vec<Finding> {
    let looks = possible(view).filter_map(|cause| match cause.look {
        Look::Pod(look) => Some(look),
        _ => None,
    });
    looks.flat_map(|look| look(view, pod)).collect()
}

fn of_cluster(view: &View<'_>) -> Vec<Finding> {
    let looks = possible(view).filter_map(|cause| match cause.look {
        Look::Cluster(look) => Some(look),
        _ => None,
    });
    looks.flat_map(|look| look(view)).collect()
}

/// The causes for which all that they need could be read.
fn possible(view: &View<'_>) -> impl Iterator<Item = &'static Cause> {
    let snapshot = view.snapshot;
    CAUSES.iter().copied().filter(move |cause| snapshot.has(ALWAYS) && snapshot.has(cause.needs))
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    sort(&mut findings);
    findings
}

/// The worst first, each once.
pub fn sort(findings: &mut Vec<Finding>) {
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
