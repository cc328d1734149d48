//! A selector that matches the Pods of different applications.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::Pod;
use crate::subject::Subject;
use crate::words::{count, list};
use serde_json::json;
use std::collections::BTreeMap;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "selects-two-applications",
    title: "The selector matches two applications",
    about: "A Service is for every Pod that has the labels of its selector, whatever made the Pod. Where two applications share those \
            labels, each connection goes to either of them.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl create deployment admin --image=localhost/hello:4.1 --port=8080\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"tier\":\"front\"}}}}}'\n\
           kubectl patch deployment admin -p '{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"tier\":\"front\"}}}}}'\n\
           kubectl create service clusterip web --tcp=80:8080\n\
           kubectl set selector service web tier=front",
    mend: "Add the label to the selector that only one of the applications has.",
    needs: &[Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet, Kind::DaemonSet],
    look: Look::Service(find),
};

/// Labels that name an application, the most usual first.
const NAMES: [&str; 4] = ["app.kubernetes.io/name", "app", "k8s-app", "run"];

/// How versions of one application are told apart in its name: `web-blue` and `web-green` are one.
const VARIANTS: [&str; 16] = [
    "blue", "green", "canary", "stable", "primary", "baseline", "preview", "active", "new", "old", "next",
    "current", "prod", "test", "a", "b",
];

/// What one maker made.
struct Group<'a> {
    maker: (&'a str, &'a str),
    /// Its manager, if it has one.
    owner: Option<(&'a str, &'a str)>,
    pods: Vec<&'a Pod>,
}

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = &subject.service.spec.ports;
    let metrics = !ports.is_empty() && ports.iter().all(|port| port.name.contains("metrics"));
    // Clients of a headless Service choose among the Pods themselves, and a scraper wants them all.
    if subject.service.is_headless() || metrics {
        return Vec::new();
    }
    let groups = groups(subject);
    let Some((first, second)) = different(&groups) else { return Vec::new() };
    let text = |group: &Group<'_>, label: (&str, &str)| {
        let (kind, name) = group.maker;
        let pods = count(group.pods.len(), "Pod");
        if kind == "Pod" {
            format!("Pod {name} ({}={})", label.0, label.1)
        } else {
            format!("{pods} of {kind} {name} ({}={})", label.0, label.1)
        }
    };
    let Some((key, one, other)) = unlike(first.pods[0], second.pods[0]) else { return Vec::new() };
    let message = format!(
        "Service {} selects two applications: {} and {}, so each connection goes to either.",
        subject.name(),
        text(first, (key, one)),
        text(second, (key, other))
    );
    let wanted = if is_meant(subject, (first, one), (second, other)) { one } else { other };
    let makers: Vec<String> =
        groups.iter().map(|group| format!("{} {}", group.maker.0, group.maker.1)).collect();
    let makers: Vec<&str> = makers.iter().map(String::as_str).collect();
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!(
            "selector: {}; matches Pods of {}",
            crate::words::labels(&subject.service.spec.selector),
            list(&makers)
        ))
        .fix(subject.patch(&json!({"spec": {"selector": {key: wanted}}})));
    vec![finding]
}

/// The live Pods by what made them; a Pod that nothing made is its own.
fn groups<'a>(subject: &Subject<'a>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Pod>> = BTreeMap::new();
    for pod in subject.live() {
        let maker = subject.view.maker(pod).unwrap_or(("Pod", &pod.metadata.name));
        groups.entry(maker).or_default().push(pod);
    }
    let owner = |(kind, name): (&str, &str)| {
        let workload = subject.view.workload(kind, subject.namespace(), name)?;
        workload.metadata.controller().map(|owner| (owner.kind.as_str(), owner.name.as_str()))
    };
    groups.into_iter().map(|(maker, pods)| Group { maker, owner: owner(maker), pods }).collect()
}

/// The first group, and the first one after it that is surely another application.
fn different<'g, 'a>(groups: &'g [Group<'a>]) -> Option<(&'g Group<'a>, &'g Group<'a>)> {
    let (first, others) = groups.split_first()?;
    let other = others.iter().find(|other| {
        let same_owner = first.owner.is_some() && first.owner == other.owner;
        !same_owner && unlike(first.pods[0], other.pods[0]).is_some()
    })?;
    Some((first, other))
}

/// The label that names two applications, with both names; none if some label names both the same.
fn unlike<'a>(one: &'a Pod, other: &'a Pod) -> Option<(&'static str, &'a str, &'a str)> {
    let both = |key: &'static str| {
        let (one, other) = (one.metadata.labels.get(key)?, other.metadata.labels.get(key)?);
        Some((key, one.as_str(), other.as_str()))
    };
    let common: Vec<_> = NAMES.into_iter().filter_map(both).collect();
    let same = common.iter().any(|(_, one, other)| application(one) == application(other));
    common.first().copied().filter(|_| !same)
}

/// The name of an application without its version or colour.
fn application(name: &str) -> &str {
    let Some((stem, last)) = name.rsplit_once('-') else { return name };
    let number = last.strip_prefix('v').unwrap_or(last);
    let version = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if version || VARIANTS.contains(&last) { stem } else { name }
}

/// Whether the Service is meant for the first one: it has its name, or the other has not, and fewer Pods.
fn is_meant(subject: &Subject<'_>, one: (&Group<'_>, &str), other: (&Group<'_>, &str)) -> bool {
    let named =
        |(group, label): (&Group<'_>, &str)| label == subject.name() || group.maker.1 == subject.name();
    match (named(one), named(other)) {
        (true, false) => true,
        (false, true) => false,
        _ => one.0.pods.len() >= other.0.pods.len(),
    }
}
