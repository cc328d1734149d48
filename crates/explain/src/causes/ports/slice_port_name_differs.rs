//! A slice made by hand whose port has another name than the Service's.

use super::arrival::knock;
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{EndpointSlice, ServicePort, SlicePort, TargetPort};
use crate::subject::Subject;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "slice-port-name-differs",
    title: "The EndpointSlice's port has another name than the Service's",
    about: "Ports of a Service and of its EndpointSlices belong together by name and protocol; one without a name goes with one without a name. \
            Where you make the slice yourself and the names differ, the Service's port has no endpoints, though the slice lists some.",
    make: "cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: v1\n\
           kind: Service\n\
           metadata: {name: db}\n\
           spec: {ports: [{name: postgres, port: 5432}]}\n\
           ---\n\
           apiVersion: discovery.k8s.io/v1\n\
           kind: EndpointSlice\n\
           metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}\n\
           addressType: IPv4\n\
           endpoints: [{addresses: [10.1.2.3]}]\n\
           ports: [{name: sql, port: 5432}]\n\
           EOF",
    mend: "Give the slice's port the name and protocol of the Service's.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let service = subject.service;
    let by_hand = service.spec.selector.is_empty() && !service.is_headless() && !service.is_external_name();
    let ready: Vec<&EndpointSlice> =
        subject.slices.iter().copied().filter(|slice| slice.endpoints.iter().any(|e| e.is_ready())).collect();
    if !by_hand || ready.is_empty() {
        return Vec::new();
    }
    let served = |port: &ServicePort| ready.iter().any(|slice| slice.ports.iter().any(|p| fits(port, p)));
    let unserved = service.spec.ports.iter().filter(|port| !served(port));
    unserved.map(|port| finding(subject, port, &ready)).collect()
}

fn name(port: &SlicePort) -> &str {
    port.name.as_deref().unwrap_or_default()
}

fn protocol(port: &SlicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn fits(port: &ServicePort, slice: &SlicePort) -> bool {
    name(slice) == port.name && protocol(slice) == port.protocol()
}

/// "named sql", "without a name", "named http (UDP)"
fn called(name: &str, protocol: &str) -> String {
    let protocol = if protocol == "TCP" { String::new() } else { format!(" ({protocol})") };
    if name.is_empty() { format!("without a name{protocol}") } else { format!("named {name}{protocol}") }
}

fn finding(subject: &Subject<'_>, port: &ServicePort, ready: &[&EndpointSlice]) -> Finding {
    let slice = ready[0];
    let has: Vec<String> = slice.ports.iter().map(|p| called(name(p), protocol(p))).collect();
    let instead = if has.is_empty() {
        "has no ports".into()
    } else {
        format!("has only one {}", has.join(" and one "))
    };
    let message = format!(
        "Nothing serves {} of Service {}: its slices have no port {}, and EndpointSlice {} {instead}.",
        knock(port),
        subject.name(),
        called(&port.name, port.protocol()),
        slice.metadata.name,
    );
    CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("Service: port {}, {}", port.port, called(&port.name, port.protocol())))
        .evidence(format!(
            "EndpointSlice {}: {}",
            slice.metadata.name,
            if has.is_empty() { "no ports".into() } else { has.join(", ") }
        ))
        .fix(fix(subject, port, slice))
}

/// Renames the slice's only port that belongs to no port of the Service. One that a controller writes is only shown.
fn fix(subject: &Subject<'_>, port: &ServicePort, slice: &EndpointSlice) -> String {
    let ports = &subject.service.spec.ports;
    let mut strays = slice.ports.iter().enumerate().filter(|(_, p)| !ports.iter().any(|port| fits(port, p)));
    let show = || {
        subject
            .kubectl(&format!("get endpointslices -l kubernetes.io/service-name={} -o yaml", subject.name()))
    };
    let operation = match (strays.next(), strays.next(), port.target()) {
        _ if slice.manager().is_some() => return show(),
        (Some((index, stray)), None, _) => json!([{
            "op": "replace", "path": format!("/ports/{index}"),
            "value": {"name": port.name, "port": stray.port, "protocol": port.protocol()},
        }]),
        (None, None, TargetPort::Number(target)) if slice.ports.is_empty() => json!([{
            "op": "add", "path": "/ports", "value": [{"name": port.name, "port": target, "protocol": port.protocol()}],
        }]),
        _ => return show(),
    };
    subject.kubectl(&format!("patch endpointslice {} --type=json -p '{operation}'", slice.metadata.name))
}
