//! Readiness probes that ask a port which nobody serves.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::kind::Kind;
use crate::objects::{Container, ContainerPort, Pod, Probe, TargetPort};
use crate::state::State;
use crate::subject::Subject;
use crate::view::Served;
use crate::words::{list, pods as names};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "readiness-probe-port",
    title: "The readiness probe asks a port that nobody serves",
    about: "A Pod gets traffic only while its readiness probe succeeds. A probe of a port at which no container listens never does, \
            however well the application works on its own port.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"hello\",\"readinessProbe\":{\"httpGet\":{\"path\":\"/readyz\",\"port\":8081}}}]}}}}'",
    mend: "Give the probe the port that the container serves.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

/// A probe of a port that nobody serves.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Wrong<'a> {
    container: &'a str,
    port: String,
    why: String,
    /// The port that was probably meant.
    meant: Option<u32>,
}

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::NotReady(status) => wrong(subject, pod, &status.name),
        _ => None,
    });
    let finding = |(wrong, pods): (Wrong<'_>, Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "is not ready", "are not ready");
        let message = format!(
            "{some}: the readiness probe of container {} asks port {}, but {}.",
            wrong.container, wrong.port, wrong.why
        );
        let probe = container(pods[0], wrong.container).and_then(|c| c.readiness_probe.as_ref());
        CAUSE
            .finding(subject.severity(), subject.object(), message)
            .evidence(format!(
                "{}, readinessProbe {}",
                names(&pods),
                probe.map(Probe::words).unwrap_or_default()
            ))
            .fix(mend(subject, pods[0], &wrong))
    };
    groups.into_iter().map(finding).collect()
}

/// Whether the container's probe asks a port that nobody serves: this is why the Pod is not ready.
pub(super) fn is_why(subject: &Subject<'_>, pod: &Pod, container: &str) -> bool {
    wrong(subject, pod, container).is_some()
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    pod.spec.containers.iter().find(|container| container.name == name)
}

fn wrong<'a>(subject: &Subject<'_>, pod: &'a Pod, name: &str) -> Option<Wrong<'a>> {
    let container = container(pod, name)?;
    let probe = container.readiness_probe.as_ref().filter(|probe| !probe.asks_elsewhere())?;
    let port = probe.port()?;
    let wrong = |why: String| Wrong {
        container: &container.name,
        port: port.to_string(),
        why,
        meant: meant(subject, pod, container),
    };
    let number = match port {
        TargetPort::Number(number) => *number,
        TargetPort::Name(name) => match container.ports.iter().find(|port| port.name == *name) {
            Some(port) => port.container_port,
            None if name.parse::<u16>().is_ok() => return None,
            None => {
                return Some(wrong(format!("the container has no port of that name{}", declared(container))));
            }
        },
    };
    match subject.view.served(pod, "TCP", number) {
        Served::Yes => None,
        Served::No => Some(wrong(format!("no container listens at that port{}", listens(subject, pod)))),
        Served::Loopback => Some(wrong("the container listens there on a loopback address only".into())),
        Served::Unknown => {
            let mut ports = pod.ports().peekable();
            let foreign = ports.peek().is_some() && ports.all(|port| port.container_port != number);
            (foreign && refused(subject, pod))
                .then(|| wrong(format!("the connection is refused there{}", declared(container))))
        }
    }
}

/// Whether the kubelet's last word on the probe is that the connection was refused.
fn refused(subject: &Subject<'_>, pod: &Pod) -> bool {
    let event = subject.view.last_event("Pod", subject.namespace(), &pod.metadata.name, &["Unhealthy"]);
    event.is_some_and(|e| e.message.starts_with("Readiness") && e.message.contains("connection refused"))
}

/// " (it declares 8080 and metrics, 9090)"
fn declared(container: &Container) -> String {
    let label = |port: &ContainerPort| match port.name.as_str() {
        "" => port.container_port.to_string(),
        name => format!("{name}={}", port.container_port),
    };
    let ports: Vec<String> = container.ports.iter().map(label).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    if ports.is_empty() { String::new() } else { format!(" (it declares {})", list(&ports)) }
}

/// The TCP ports at which the Pod can be reached, if its node says so.
fn served(subject: &Subject<'_>, pod: &Pod) -> Option<BTreeSet<u32>> {
    let word = subject.view.word(pod)?.pods.iter().find(|said| said.uid == pod.metadata.uid)?;
    let open = word.listeners.iter().filter(|l| l.protocol == "TCP" && !l.is_loopback());
    Some(open.map(|listener| listener.port).collect())
}

/// " (they listen at 8080)"
fn listens(subject: &Subject<'_>, pod: &Pod) -> String {
    let ports: Vec<String> =
        served(subject, pod).unwrap_or_default().iter().map(ToString::to_string).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    if ports.is_empty() { String::new() } else { format!(" (the Pod serves {})", list(&ports)) }
}

/// The only port that the Pod serves, or else the only one that the container declares.
fn meant(subject: &Subject<'_>, pod: &Pod, container: &Container) -> Option<u32> {
    let declared =
        || container.ports.iter().filter(|p| p.protocol() == "TCP").map(|p| p.container_port).collect();
    let ports = served(subject, pod).unwrap_or_else(declared);
    ports.first().copied().filter(|_| ports.len() == 1)
}

fn mend(subject: &Subject<'_>, pod: &Pod, wrong: &Wrong<'_>) -> String {
    let probe = container(pod, wrong.container).and_then(|container| container.readiness_probe.as_ref());
    let patch = probe.zip(wrong.meant).map(|(probe, port)| {
        let action = match (&probe.http_get, &probe.tcp_socket) {
            (Some(_), _) => "httpGet",
            (None, Some(_)) => "tcpSocket",
            (None, None) => "grpc",
        };
        let probe: Value = json!({ action: {"port": port} });
        json!({"containers": [{"name": wrong.container, "readinessProbe": probe}]})
    });
    let patch = patch.and_then(|patch| fix::template(subject.view, pod, &patch));
    patch.unwrap_or_else(|| fix::describe(pod))
}
