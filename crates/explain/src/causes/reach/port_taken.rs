//! A port that another holds, by the word of who tried to open it.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::Event;
use crate::subject::Subject;
use crate::words::quoted;
use jiff::SignedDuration;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "port-taken",
    title: "A port of the Service is taken",
    about: "A NodePort, or an address and port, can lead to one Service only, and a port of a machine to one program. Who comes second gets nothing of it; \
            an Event says so.",
    make: "# not on a cluster of sealane up: it takes a program that holds the port on the machine itself, as this one\n\
           python3 -m http.server --bind 127.0.0.1 30987 &\n\
           kubectl create service nodeport web --tcp=80:8080 --node-port=30987",
    mend: "End what holds the port, or give the Service another `nodePort`.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

/// What lasts is said again this often at least, or never (`PortTaken`): for so long an Event is believed.
const RECENT: [(&str, SignedDuration); 2] =
    [("AddressTaken", SignedDuration::from_mins(20)), ("PortTaken", SignedDuration::from_hours(1))];

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let taken = RECENT.iter().filter_map(|(reason, lasts)| {
        let event = subject.last_event(&[reason]).filter(|event| is_recent(subject, event, *lasts))?;
        finding(subject, event)
    });
    taken.chain(unopened(subject)).collect()
}

fn is_recent(subject: &Subject<'_>, event: &Event, lasts: SignedDuration) -> bool {
    event.at().is_some_and(|at| subject.view.snapshot.now.duration_since(at) <= lasts)
}

fn finding(subject: &Subject<'_>, event: &Event) -> Option<Finding> {
    let name = subject.name();
    let published =
        event.message.strip_prefix("Port ").and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    let (message, fix) = match published {
        Some(number) => {
            let wanted = |p: &crate::objects::ServicePort| p.node_port == number || p.port == number;
            subject.service.spec.ports.iter().find(|port| wanted(port))?;
            let holder =
                event.message.split("It is held by ").nth(1).and_then(|rest| rest.split(". ").next());
            let holder = holder.unwrap_or("another program");
            (
                format!(
                    "Port {number} of the machine does not lead to Service {name}: {} holds it.",
                    quoted(holder)
                ),
                format!("ss -Htulnp 'sport = :{number}'"),
            )
        }
        None => (
            format!(
                "Service {name} does not get what arrives at one of its addresses: {}.",
                quoted(&event.message)
            ),
            "kubectl get services -A -o wide".to_owned(),
        ),
    };
    let evidence = format!("Event {}: {}", event.reason, quoted(&event.message));
    Some(CAUSE.finding(Severity::Warning, subject.object(), message).evidence(evidence).fix(fix))
}

/// What a kube-proxy that still opened NodePorts said: about its node, with the Service in the text.
fn unopened(subject: &Subject<'_>) -> Option<Finding> {
    if subject.service.spec.ports.iter().all(|port| port.node_port == 0) {
        return None;
    }
    let service = format!("nodePort for {}/{}", subject.namespace(), subject.name());
    let names = |event: &Event| {
        let after = event.message.split_once(&service).map(|(_, after)| after.chars().next());
        after.is_some_and(|next| !next.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '.'))
    };
    let recent = |event: &Event| is_recent(subject, event, SignedDuration::from_hours(1));
    let event = *subject.view.routes.unopened.iter().find(|event| names(event) && recent(event))?;
    let node = &event.involved_object.name;
    let message = format!(
        "Node {node} could not open a NodePort of Service {}: {}.",
        subject.name(),
        quoted(&event.reason)
    );
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("Event on node {node}: {}", quoted(&event.message)))
        .fix(subject.kubectl(&format!("get service {} -o wide", subject.name())));
    Some(finding)
}
