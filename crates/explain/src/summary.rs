//! What a Service does, in one sentence: what is said where nothing is wrong.

use crate::check::services_of;
use crate::objects::{Pod, Service};
use crate::state::State;
use crate::subject::Subject;
use crate::view::View;
use crate::words::{count, is, list};
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
    format!("{} made by hand", count(ready, "endpoint"))
}

fn pods(subject: &Subject<'_>) -> String {
    let live = subject.live();
    let ready = subject.pods_that(|state| matches!(state, State::Ready));
    let nodes: BTreeSet<&str> = ready.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let on = if nodes.is_empty() { String::new() } else { format!(" on {}", count(nodes.len(), "node")) };
    let starting = subject.pods_that(|state| matches!(state, State::Starting)).len();
    let rest = if starting == 0 { String::new() } else { format!(" ({starting} starting)") };
    format!("{} of {} ready{on}{rest}", ready.len(), count(live.len(), "Pod"))
}

/// Where clients knock, and where that leads.
fn front(service: &Service) -> String {
    let spec = &service.spec;
    let headless = service.is_headless();
    let ports: Vec<String> = spec
        .ports
        .iter()
        .map(|port| {
            let (number, target) = (port.port, port.target());
            let protocol =
                if port.protocol() == "TCP" { String::new() } else { format!("/{}", port.protocol()) };
            let node = if port.node_port == 0 {
                String::new()
            } else {
                format!(" and every node's {}", port.node_port)
            };
            if headless {
                format!(":{target}{protocol}")
            } else {
                format!("{}:{number}{protocol}{node} → {target}", spec.cluster_ip)
            }
        })
        .collect();
    let balancer: Vec<&str> = service
        .status
        .load_balancer
        .ingress
        .iter()
        .map(|i| if i.ip.is_empty() { i.hostname.as_str() } else { i.ip.as_str() })
        .collect();
    let balancer =
        if balancer.is_empty() { String::new() } else { format!(", load balancer {}", list(&balancer)) };
    let name = if headless {
        format!(
            "its name (no ClusterIP: DNS answers with the Pods){}",
            ports.first().map_or(String::new(), |_| format!(", {}", ports.join(", ")))
        )
    } else {
        ports.join(", ")
    };
    format!("{name}{balancer}")
}

/// "behind Services web and api", or which Service nearly selects it.
pub fn pod_summary(view: &View<'_>, pod: &Pod) -> String {
    let services = services_of(view, pod);
    let names: Vec<&str> = services.iter().map(|service| service.metadata.name.as_str()).collect();
    let state = match pod.is_ready() {
        true => "ready",
        false => "not ready",
    };
    match names.as_slice() {
        [] => format!("{state}, and no Service selects it"),
        names => format!("{state}, {} selected by Service {}", is(1), list(names)),
    }
}
