//! A target port by a name that no Pod has.

use super::arrival::{Arrival, knock, pods, show};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{ContainerPort, Pod, ServicePort, TargetPort};
use crate::subject::Subject;
use crate::words::{count, list, pods as names};
use std::collections::BTreeMap;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "named-port-missing",
    title: "The target port is a name that no Pod has",
    about: "A `targetPort` that is a name is looked up among the ports that the containers declare. Where no Pod has one of that name and \
            protocol, the port leads nowhere, though the Pods are ready.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl patch deployment web --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/ports/0/name\",\"value\":\"http\"}]'\n\
           kubectl expose deployment web --port=80 --target-port=htp\n\
           kubectl rollout status deployment web",
    mend: "Name the port in the Pods' template, or refer to the name that is there, or to the number.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = subject.service.spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| finding(subject, index, port)).collect()
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort) -> Option<Finding> {
    let TargetPort::Name(name) = port.target() else { return None };
    let without = pods(subject, port, |arrival| (arrival == Arrival::NoName).then_some(()));
    let without: Vec<&Pod> = without.into_iter().map(|(pod, ())| pod).collect();
    if without.is_empty() || without.len() < subject.live().len() {
        return None;
    }
    let declared = declared(&without, port.protocol());
    let nearest = nearest(&declared, &name);
    let has: Vec<String> = declared.iter().map(|port| shown(port)).collect();
    let has: Vec<&str> = has.iter().map(String::as_str).collect();
    let instead = match nearest {
        Some((declared, _)) if declared.name.is_empty() => {
            format!("port {} there has no name", declared.container_port)
        }
        Some((declared, true)) => format!("the nearest is {} ({})", declared.name, declared.container_port),
        Some(_) => format!("they have {}", list(&has)),
        None => format!("their containers declare no {} port at all", port.protocol()),
    };
    let message = format!(
        "Service {} sends {} to the port named {name}, but {}: {instead}.",
        subject.name(),
        knock(port),
        match without.len() {
            1 => "its only Pod has no such port".to_owned(),
            number => format!("none of its {} has such a port", count(number, "Pod")),
        },
    );
    let fix = match nearest {
        Some((declared, true)) if declared.name.is_empty() => {
            subject.patch_port(index, "targetPort", declared.container_port)
        }
        Some((declared, true)) => subject.patch_port(index, "targetPort", declared.name.as_str()),
        _ => show(subject),
    };
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("targetPort: {name}"))
        .evidence(format!("{}: ports {}", names(&without), list(&has)))
        .fix(fix);
    Some(finding)
}

/// "http (8080)", "8080"
fn shown(port: &ContainerPort) -> String {
    match port.name.as_str() {
        "" => port.container_port.to_string(),
        name => format!("{name} ({})", port.container_port),
    }
}

/// The ports that the Pods declare, each once.
fn declared<'a>(pods: &[&'a Pod], protocol: &str) -> Vec<&'a ContainerPort> {
    let ports = pods.iter().flat_map(|pod| pod.ports()).filter(|port| port.protocol() == protocol);
    let each: BTreeMap<_, _> = ports.map(|port| ((port.container_port, &port.name), port)).collect();
    each.into_values().collect()
}

/// The port whose name is written most alike, and whether it can only be that one.
fn nearest<'a>(declared: &[&'a ContainerPort], name: &str) -> Option<(&'a ContainerPort, bool)> {
    let distance = |port: &&&ContainerPort| match port.name.as_str() {
        "" => usize::MAX,
        other => strsim::damerau_levenshtein(other, name),
    };
    let nearest = declared.iter().min_by_key(distance)?;
    let is_similar = distance(&nearest) <= 2 || (!nearest.name.is_empty() && nearest.name.contains(name));
    Some((nearest, declared.len() == 1 || is_similar))
}
