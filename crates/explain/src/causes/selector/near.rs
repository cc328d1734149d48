//! The nearest miss of a selector.

use crate::objects::{Labels, Pod};
use crate::subject::Subject;
use crate::words::{count, has, labels, pods as names};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a selector was probably meant to match.
pub(super) struct Miss {
    /// "3 Pods have app=web but version=4.1, not 4.2"
    pub(super) sentence: String,
    /// The objects that were nearly matched.
    pub(super) evidence: String,
    /// What makes it match.
    pub(super) fix: String,
}

/// The nearest miss: a workload with the labels in the wrong place, Pods that lack one label, a typing error, the same labels in
/// another namespace.
pub(super) fn near(subject: &Subject<'_>) -> Option<Miss> {
    misplaced(subject)
        .or_else(|| all_but_one(subject))
        .or_else(|| typo(subject))
        .or_else(|| elsewhere(subject))
}

/// A workload that has the labels itself, but does not give them to its Pods.
fn misplaced(subject: &Subject<'_>) -> Option<Miss> {
    let selector = &subject.service.spec.selector;
    let has_all = |labels: &Labels| selector.select(labels);
    let mut workloads = subject.view.workloads_with(subject.namespace(), selector).into_iter();
    let workload =
        workloads.find(|w| w.kind != "ReplicaSet" && !has_all(&w.spec.template.metadata.labels))?;
    let (kind, name) = (&workload.kind, &workload.metadata.name);
    let missing: Labels = selector
        .iter()
        .filter(|(key, value)| workload.spec.template.metadata.labels.get(key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let patch = json!({"spec": {"template": {"metadata": {"labels": missing}}}});
    Some(Miss {
        sentence: format!(
            "{kind} {name} has {} itself, but its Pod template does not, so its Pods have not",
            labels(&missing)
        ),
        evidence: format!("{kind} {name}, Pod template: {}", labels(&workload.spec.template.metadata.labels)),
        fix: subject.kubectl(&format!("patch {} {name} -p '{patch}'", kind.to_lowercase())),
    })
}

/// Pods that have all labels but one, most of them first.
fn all_but_one(subject: &Subject<'_>) -> Option<Miss> {
    let selector = &subject.service.spec.selector;
    let misses = selector.iter().filter_map(|(key, wanted)| {
        let others = selector.without(key);
        let pods = subject.view.selected(subject.namespace(), &others);
        (!pods.is_empty()).then_some((key, wanted, others, pods))
    });
    let (key, wanted, others, pods) = misses.max_by_key(|(_, wanted, _, pods)| {
        let close = pods.iter().flat_map(|pod| pod.metadata.labels.values()).any(|has| similar(has, wanted));
        (close, pods.len())
    })?;
    let (value, pods) = commonest(&pods, key, wanted);
    let number = count(pods.len(), "Pod");
    let verb = has(pods.len());
    let sentence = match &value {
        Some(value) => format!("{number} {verb} {} but {key}={value}, not {wanted}", labels(&others)),
        None => format!("{number} {verb} {} but no label {key}", labels(&others)),
    };
    Some(miss(subject, sentence, &pods, &json!({ key: value })))
}

/// Pods with a label that is written nearly the same: another value, or another key.
fn typo(subject: &Subject<'_>) -> Option<Miss> {
    let here = subject.view.pods_of(subject.namespace());
    let pairs: BTreeSet<(&String, &String)> =
        here.iter().flat_map(|pod| pod.metadata.labels.iter()).collect();
    let distance = |(key, value): (&String, &String), (k, v): (&String, &String)| {
        let close = (key == k || similar(key, k)) && (value == v || similar(value, v));
        close.then(|| strsim::damerau_levenshtein(key, k) + strsim::damerau_levenshtein(value, v))
    };
    let candidates = subject.service.spec.selector.iter().flat_map(|wanted| {
        pairs.iter().filter_map(move |pair| Some((distance(wanted, *pair)?, wanted, *pair)))
    });
    let (_, (key, value), (near_key, near_value)) = candidates.min()?;
    let pods: Vec<&Pod> = subject.view.labelled(subject.namespace(), near_key, near_value).to_vec();
    let sentence = format!(
        "{} {} {near_key}={near_value}, not {key}={value}",
        count(pods.len(), "Pod"),
        has(pods.len())
    );
    let mut patch = json!({ near_key: near_value });
    if near_key != key {
        patch[key] = Value::Null;
    }
    Some(miss(subject, sentence, &pods, &patch))
}

/// Pods with exactly these labels in another namespace.
fn elsewhere(subject: &Subject<'_>) -> Option<Miss> {
    let selector = &subject.service.spec.selector;
    let others: BTreeSet<&str> =
        subject.view.namespaces().filter(|namespace| *namespace != subject.namespace()).collect();
    let found = others.into_iter().map(|other| (other, subject.view.selected(other, selector)));
    let (namespace, pods) = found.max_by_key(|(_, pods)| pods.len()).filter(|(_, pods)| !pods.is_empty())?;
    let port = subject.service.spec.ports.first();
    let ports = port.map(|p| format!(" --port={} --target-port={}", p.port, p.target())).unwrap_or_default();
    let fix = match subject.view.maker(pods[0]) {
        Some((kind @ ("Deployment" | "ReplicaSet"), name)) => format!(
            "kubectl -n {namespace} expose {} {name} --name={}{ports} --selector={}",
            kind.to_lowercase(),
            subject.name(),
            labels(selector)
        ),
        _ => format!("kubectl -n {namespace} get pods -l {}", labels(selector)),
    };
    let sentence = format!(
        "{} in namespace {namespace} {} these labels, but a Service selects in its own namespace only ({})",
        count(pods.len(), "Pod"),
        has(pods.len()),
        subject.namespace()
    );
    Some(Miss { sentence, evidence: format!("namespace {namespace}, {}", names(&pods)), fix })
}

fn miss(subject: &Subject<'_>, sentence: String, pods: &[&Pod], selector: &Value) -> Miss {
    let shown = pods.first().map(|pod| labels(&pod.metadata.labels)).unwrap_or_default();
    Miss {
        sentence,
        evidence: format!("{} ({shown})", names(pods)),
        fix: subject.patch(&json!({"spec": {"selector": selector}})),
    }
}

/// The value of that label that most of the Pods have, with the Pods that have it; one that is written nearly the same comes first.
fn commonest<'a>(pods: &[&'a Pod], key: &str, wanted: &str) -> (Option<String>, Vec<&'a Pod>) {
    let mut by_value: BTreeMap<Option<&String>, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        by_value.entry(pod.metadata.labels.get(key)).or_default().push(pod);
    }
    let best = by_value.into_iter().max_by_key(|(value, pods)| {
        (value.is_some_and(|value| similar(value, wanted)), value.is_some(), pods.len())
    });
    best.map(|(value, pods)| (value.cloned(), pods)).unwrap_or_default()
}

/// Whether two words are so alike that one may be the other with a typing error or two.
fn similar(one: &str, other: &str) -> bool {
    let most = if one.len().min(other.len()) < 5 { 1 } else { 2 };
    one != other && one.len().max(other.len()) > 2 && strsim::damerau_levenshtein(one, other) <= most
}
