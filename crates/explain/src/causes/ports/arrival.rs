//! What becomes of what a Service's port sends to one of its Pods: one answer, so that each trouble is told by one cause.

use crate::objects::{Pod, ServicePort, TargetPort};
use crate::state::State;
use crate::subject::Subject;
use crate::view::Served;
use crate::words::list;
use std::collections::BTreeSet;

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is taken, or nobody knows better.
    Fine,
    /// The Pod has no port of the target's name.
    NoName,
    /// The application takes at this port what comes from the Pod itself only.
    Loopback(u32),
    /// The Pod serves the port by this protocol only; `known`, rather than merely declared.
    OtherProtocol { number: u32, protocol: &'static str, known: bool },
    /// Nothing takes it at this port.
    Nothing(u32),
    /// Nobody knows, but all containers declare ports, and not this one.
    Undeclared(u32),
}

/// The live Pods for which `pick` takes what becomes of it.
pub(super) fn pods<'a, T>(
    subject: &Subject<'a>,
    port: &ServicePort,
    pick: impl Fn(Arrival) -> Option<T>,
) -> Vec<(&'a Pod, T)> {
    let live = subject.live().into_iter();
    live.filter_map(|pod| pick(arrival(subject, port, pod)).map(|picked| (pod, picked))).collect()
}

fn arrival<'a>(subject: &Subject<'a>, port: &ServicePort, pod: &'a Pod) -> Arrival {
    let target = port.target();
    let other = other(subject, port);
    let Some(number) = pod.resolve(&target, port.protocol()) else {
        let by_other = other.and_then(|other| Some((other, pod.resolve(&target, other)?)));
        return by_other.map_or(Arrival::NoName, |(protocol, number)| Arrival::OtherProtocol {
            number,
            protocol,
            known: true,
        });
    };
    if !matches!(subject.state(pod), State::Ready) {
        return Arrival::Fine;
    }
    let serves = |protocol: &&str| subject.view.served(pod, protocol, number) == Served::Yes;
    match subject.view.served(pod, port.protocol(), number) {
        Served::Yes => Arrival::Fine,
        Served::Loopback => Arrival::Loopback(number),
        Served::No => other.filter(serves).map_or(Arrival::Nothing(number), |protocol| {
            Arrival::OtherProtocol { number, protocol, known: true }
        }),
        Served::Unknown => declared(pod, port.protocol(), number, other),
    }
}

/// The protocol that may be meant instead, unless the Service has that one, too.
fn other(subject: &Subject<'_>, port: &ServicePort) -> Option<&'static str> {
    let other = match port.protocol() {
        "TCP" => "UDP",
        "UDP" => "TCP",
        _ => return None,
    };
    let is_both =
        subject.service.spec.ports.iter().any(|p| p.protocol() == other && p.target() == port.target());
    (!is_both).then_some(other)
}

/// What the containers say that they serve: silence says nothing, and one container's words nothing of another's.
fn declared(pod: &Pod, protocol: &str, number: u32, other: Option<&'static str>) -> Arrival {
    let has = |protocol: &str| pod.ports().any(|p| p.container_port == number && p.protocol() == protocol);
    if has(protocol) || is_probed(pod, number) {
        return Arrival::Fine;
    }
    if let Some(protocol) = other.filter(|other| has(other)) {
        return Arrival::OtherProtocol { number, protocol, known: false };
    }
    let all_declare =
        pod.spec.containers.iter().all(|c| c.ports.iter().any(|port| port.protocol() == protocol));
    if all_declare { Arrival::Undeclared(number) } else { Arrival::Fine }
}

/// Whether a readiness probe succeeds at the port: the Pod is ready.
fn is_probed(pod: &Pod, number: u32) -> bool {
    let probes = pod.spec.containers.iter().filter_map(|container| container.readiness_probe.as_ref());
    let mut ports = probes.filter_map(|probe| pod.resolve(probe.port()?, "TCP"));
    ports.any(|port| port == number)
}

/// The ports at which a Pod takes what comes from outside, as far as anybody knows.
pub(super) fn listening(subject: &Subject<'_>, pod: &Pod, protocol: &str) -> BTreeSet<u32> {
    let word = subject.view.word(pod).and_then(|word| word.pods.iter().find(|p| p.uid == pod.metadata.uid));
    if let Some(word) = word {
        let open = word.listeners.iter().filter(|l| l.protocol == protocol && !l.is_loopback());
        return open.map(|listener| listener.port).collect();
    }
    let declared = pod.ports().filter(|port| port.protocol() == protocol).map(|port| port.container_port);
    declared.filter(|port| subject.view.served(pod, protocol, *port) == Served::Yes).collect()
}

/// "port 80", "port http (80)", "UDP port 53".
pub(super) fn knock(port: &ServicePort) -> String {
    let protocol = if port.protocol() == "TCP" { String::new() } else { format!("{} ", port.protocol()) };
    match port.name.as_str() {
        "" => format!("{protocol}port {}", port.port),
        name => format!("{protocol}port {name} ({})", port.port),
    }
}

/// "8081", or "http (8081)" where the target is a name.
pub(super) fn target(port: &ServicePort, number: u32) -> String {
    match port.target() {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => format!("{name} ({number})"),
    }
}

/// "8080", "8080 and 9090".
pub(super) fn numbers(ports: &BTreeSet<u32>) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    list(&ports.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The command that shows the ports that the Pods declare.
pub(super) fn show(subject: &Subject<'_>) -> String {
    let columns = "POD:.metadata.name,NAMES:.spec.containers[*].ports[*].name,\
                   PORTS:.spec.containers[*].ports[*].containerPort,PROTOCOLS:.spec.containers[*].ports[*].protocol";
    let selector = crate::words::labels(&subject.service.spec.selector);
    subject.kubectl(&format!("get pods -l {selector} -o 'custom-columns={columns}'"))
}
