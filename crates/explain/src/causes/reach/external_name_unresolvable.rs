//! An ExternalName that nobody can resolve.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::subject::Subject;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "external-name-unresolvable",
    title: "An ExternalName does not resolve",
    about: "The name of an ExternalName is looked up as it stands, from its root: no search list is applied to it. A Service of the same cluster \
            has to be written in full (`web.shop.svc.cluster.local`), and has to exist.",
    make: "kubectl create service externalname db --external-name=database",
    mend: "Write a name that exists, in full.",
    needs: &[],
    look: Look::Service(find),
};

/// The domain that clusters have unless it was changed.
const DOMAIN: &str = "cluster.local";

/// Why a name does not resolve, and what to do about it.
struct Trouble {
    severity: Severity,
    why: String,
    evidence: String,
    fix: String,
}

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let other = super::external_name_is_address::address(subject).is_some()
        || super::external_name_has_port::bare(subject).is_some();
    let name = subject.service.spec.external_name.trim_end_matches('.');
    if !subject.service.is_external_name() || other || name.is_empty() {
        return Vec::new();
    }
    let trouble = match in_cluster(name) {
        Some((service, namespace, true)) => absent(subject, service, namespace),
        Some((service, namespace, false)) => Some(incomplete(subject, service, namespace)),
        None if !name.contains('.') => Some(incomplete(subject, name, subject.namespace())),
        None => unknown(subject, name),
    };
    let Some(Trouble { severity, why, evidence, fix }) = trouble else { return Vec::new() };
    let message = format!("Service {} stands for the name {name}, {why}.", subject.name());
    let finding = CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("externalName: {}", subject.service.spec.external_name))
        .evidence(evidence)
        .fix(fix);
    vec![finding]
}

/// Service and namespace of a name such as `web-0.web.shop.svc.cluster.local`, and whether it is written in full.
fn in_cluster(name: &str) -> Option<(&str, &str, bool)> {
    let (name, is_full) = match name.strip_suffix(DOMAIN).and_then(|name| name.strip_suffix('.')) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let mut labels = name.strip_suffix(".svc")?.rsplit('.');
    let namespace = labels.next()?;
    Some((labels.next()?, namespace, is_full))
}

/// A Service of the cluster that does not exist, in a namespace whose Services were read.
fn absent(subject: &Subject<'_>, service: &str, namespace: &str) -> Option<Trouble> {
    let here = subject.view.snapshot.services.iter().filter(|s| s.metadata.namespace == namespace);
    let names: Vec<&str> = here.map(|service| service.metadata.name.as_str()).collect();
    // Another namespace without any Service may be one that was not asked for.
    if names.is_empty() || names.contains(&service) {
        return None;
    }
    let nearest = names.iter().min_by_key(|name| strsim::damerau_levenshtein(name, service));
    let similar = nearest.filter(|name| strsim::damerau_levenshtein(name, service) <= 2);
    let fix = match similar {
        Some(similar) => subject.patch(&json!({"spec": {"externalName": full(similar, namespace)}})),
        None => format!("kubectl -n {namespace} get services"),
    };
    let nearest = similar.map(|similar| format!(" (there is {similar})")).unwrap_or_default();
    Some(Trouble {
        severity: Severity::Error,
        why: format!("but there is no Service {service} in namespace {namespace}{nearest}"),
        evidence: format!("Services of namespace {namespace}: {}", crate::words::list(&names)),
        fix,
    })
}

/// A name that lacks the cluster's domain.
fn incomplete(subject: &Subject<'_>, service: &str, namespace: &str) -> Trouble {
    let exists = subject.view.service(namespace, service).is_some();
    let full = full(service, namespace);
    let fix = match exists {
        true => subject.patch(&json!({"spec": {"externalName": full}})),
        false => format!("kubectl -n {namespace} get services"),
    };
    let meant = if exists { format!(": {full} is the one that does") } else { String::new() };
    Trouble {
        severity: Severity::Error,
        why: format!(
            "which is looked up as it stands, without the search list of the Pods, and does not resolve so{meant}"
        ),
        evidence: format!(
            "Service {service} in namespace {namespace}: {}",
            if exists { "exists" } else { "none" }
        ),
        fix,
    }
}

/// A name outside the cluster that was looked up in vain.
fn unknown(subject: &Subject<'_>, name: &str) -> Option<Trouble> {
    let is_known = *subject.view.snapshot.resolved.get(name)?;
    (!is_known).then(|| Trouble {
        // names may be known in the cluster only
        severity: Severity::Warning,
        why: "which does not resolve from here".into(),
        evidence: format!("looked up just now on this machine: {name} has no address"),
        fix: format!("nslookup {name}"),
    })
}

fn full(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.{DOMAIN}")
}
