//! Load balancers that were asked for and are not there: who knows why.

use crate::objects::{Condition, condition};
use crate::subject::Subject;
use crate::words::quoted;
use jiff::SignedDuration;

/// For so long a load balancer may take.
const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// The reasons of Events with which controllers say why there is no load balancer: MetalLB, cloud controllers, AWS'.
const REFUSALS: &[&str] = &[
    "AllocationFailed",
    "SyncLoadBalancerFailed",
    "CreatingLoadBalancerFailed",
    "UnAvailableLoadBalancer",
    "FailedBuildModel",
    "FailedDeployModel",
];

/// Cilium says it in a condition of the Service.
const CILIUM: &str = "cilium.io/IPAMRequestSatisfied";

/// Why a Service has no load balancer.
pub(super) enum Pending {
    /// A controller said why: its words, where it said them, and the command that shows what it lacks.
    Refused { why: String, said: String, show: String },
    /// It asks for a class, and nobody has answered.
    Class(String),
    /// Nobody has answered.
    Nobody,
}

/// Why a Service has had no load balancer for longer than it takes; `None` if it has one, or wants none.
pub(super) fn pending(subject: &Subject<'_>) -> Option<Pending> {
    let service = subject.service;
    let age = service.metadata.creation_timestamp.map(|made| subject.view.snapshot.now.duration_since(made));
    let is_pending = service.spec.kind == "LoadBalancer"
        && service.status.load_balancer.ingress.is_empty()
        && service.metadata.deletion_timestamp.is_none();
    if !is_pending || age.is_some_and(|age| age < GRACE) {
        return None;
    }
    let unsatisfied = |c: &&Condition| c.status == "False";
    let by_condition = condition(&service.status.conditions, CILIUM).filter(unsatisfied);
    let by_event = subject.last_event(REFUSALS);
    Some(match (by_condition, by_event, &service.spec.load_balancer_class) {
        (Some(said), ..) => Pending::Refused {
            why: quoted(&said.message),
            said: format!("condition {CILIUM}: {}", said.reason),
            show: "kubectl get ciliumloadbalancerippools".into(),
        },
        (_, Some(said), _) => Pending::Refused {
            why: quoted(&said.message),
            said: format!("Event {}: {}", said.reason, quoted(&said.message)),
            show: match said.reason.as_str() {
                // MetalLB's
                "AllocationFailed" => "kubectl get ipaddresspools.metallb.io -A".into(),
                _ => subject.kubectl(&format!("describe service {}", subject.name())),
            },
        },
        (_, _, Some(class)) => Pending::Class(class.clone()),
        _ => Pending::Nobody,
    })
}

/// ", though 10.0.0.2:30080 leads to it meanwhile": the NodePort at a node that is ready, if it has one.
pub(super) fn meanwhile(subject: &Subject<'_>) -> String {
    let node = subject.view.routes.ready_nodes.iter().find_map(|node| node.internal_ip());
    let port = subject.service.spec.ports.iter().map(|port| port.node_port).find(|port| *port != 0);
    match (node, port) {
        (Some(node), Some(port)) => format!("; its NodePort leads to it meanwhile: {node}:{port}"),
        (None, Some(port)) => {
            format!("; its NodePort {port} leads to it meanwhile, at the address of any node")
        }
        _ => String::new(),
    }
}
