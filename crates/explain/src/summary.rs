//! What a Service does, in one sentence: what is said where nothing is wrong.

use crate::check::services_of;
use crate::objects::{Pod, Service, ServicePort};
use crate::state::State;
use crate::subject::Subject;
use crate::view::View;
use crate::words::{count, list};
use std::collections::BTreeSet;

/// "3 of 3 Pods ready on 2 nodes behind 10.96.4.7:80 → 8080".
pub fn summary(view: &View<'_>, service: &Service) -> String {
    if service.is_external_name() {
        return format!("a name for {}: DNS answers with a CNAME", service.spec.external_name);
    }
    let subject = Subject::new(view, service);
    let serving = match service.spec.selector.is_empty() {
        true => endpoints(&subject),
        false => pods(&subject),
    };
    format!("{serving} behind {}", front(service))
}

fn endpoints(subject: &Subject<'_>) -> String {
    let ready = subject.endpoints().filter(|endpoint| endpoint.is_ready()).count();
    format!("{} (the Service has no selector)", count(ready, "ready endpoint"))
}

fn pods(subject: &Subject<'_>) -> String {
    let live = subject.live();
    if live.is_empty() {
        return "no Pod".into();
    }
    let ready = subject.pods_that(|state| matches!(state, State::Ready));
    let nodes: BTreeSet<&str> = ready.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let on = if nodes.is_empty() { String::new() } else { format!(" on {}", count(nodes.len(), "node")) };
    let starting = subject.pods_that(|state| matches!(state, State::Starting)).len();
    let rest = if starting == 0 { String::new() } else { format!(" ({starting} starting)") };
    format!("{} of {} ready{on}{rest}", ready.len(), count(live.len(), "Pod"))
}

/// Where clients knock, and where that leads.
fn front(service: &Service) -> String {
    let ports: Vec<String> = service.spec.ports.iter().map(|port| way(service, port)).collect();
    let ports = ports.join(", ");
    match service.is_headless() {
        true if ports.is_empty() => HEADLESS.to_owned(),
        true => format!("{HEADLESS}, {ports}"),
        false => format!("{ports}{}", balancer(service)),
    }
}

/// How clients find the Pods of a Service without an address.
const HEADLESS: &str = "its name alone (headless: DNS answers with the Pods' addresses)";

/// "10.96.4.7:53/UDP → 5353", "10.96.4.7:80 and every node's 30001 → 8080", "port 8080".
fn way(service: &Service, port: &ServicePort) -> String {
    let (number, target) = (port.port, port.target());
    let protocol = if port.protocol() == "TCP" { String::new() } else { format!("/{}", port.protocol()) };
    let node = match port.node_port {
        0 => String::new(),
        node_port => format!(" and every node's {node_port}"),
    };
    match service.is_headless() {
        true => format!("port {target}{protocol}"),
        false => format!("{}:{number}{protocol}{node} → {target}", host(&service.spec.cluster_ip)),
    }
}

/// An address as it stands before a port.
fn host(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// ", load balancer 192.0.2.1", or that it waits for one.
fn balancer(service: &Service) -> String {
    let addresses: Vec<&str> = service
        .status
        .load_balancer
        .ingress
        .iter()
        .map(|i| if i.ip.is_empty() { i.hostname.as_str() } else { i.ip.as_str() })
        .collect();
    match addresses.as_slice() {
        [] if service.spec.kind == "LoadBalancer" => ", load balancer pending".to_owned(),
        [] => String::new(),
        addresses => format!(", load balancer {}", list(addresses)),
    }
}

/// "ready, behind Services api and web", or that no Service selects it.
pub fn pod_summary(view: &View<'_>, pod: &Pod) -> String {
    let services = services_of(view, pod);
    let names: Vec<&str> = services.iter().map(|service| service.metadata.name.as_str()).collect();
    let state = if pod.is_ready() { "ready" } else { "not ready" };
    match names.as_slice() {
        [] => format!("{state}, and no Service selects it"),
        [one] => format!("{state}, behind Service {one}"),
        names => format!("{state}, behind Services {}", list(names)),
    }
}
