//! `externalTrafficPolicy: Local`, and nodes without an endpoint.

use super::local::{placement, takes_outside};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use crate::words::{count, list};
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "external-traffic-local",
    title: "Nodes drop what arrives from outside",
    about: "With `externalTrafficPolicy: Local` a node hands what arrives at its NodePort to Pods of its own only, and keeps the client's address so. A node \
            that has none drops it. A load balancer asks nodes for their health and leaves those out; who uses NodePorts has to know.",
    make: "# not on a cluster of sealane up with one node: it takes two (sealane up --nodes 2)\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --type=NodePort --port=80 --target-port=8080\n\
           kubectl patch service web -p '{\"spec\":{\"externalTrafficPolicy\":\"Local\"}}'\n\
           kubectl rollout status deployment web",
    mend: "Run a Pod on every node (a DaemonSet), or let the policy be `Cluster` and do without the client's address.",
    needs: &[Kind::Node],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let spec = &subject.service.spec;
    let is_external = matches!(spec.kind.as_str(), "NodePort" | "LoadBalancer");
    if !is_external || spec.external_traffic_policy != "Local" {
        return Vec::new();
    }
    let Some(nodes) = placement(subject, takes_outside) else { return Vec::new() };
    let name = subject.name();
    let (severity, message) = match (nodes.with, nodes.without.len()) {
        (0, _) => (
            Severity::Error,
            format!(
                "Every node drops what arrives for Service {name} from outside: externalTrafficPolicy is Local, and none of its \
                 endpoints is on a node that is ready."
            ),
        ),
        (_, 0) => return Vec::new(),
        // its health checks leave these nodes out
        _ if spec.kind == "LoadBalancer" => return Vec::new(),
        (_, without) => (
            Severity::Warning,
            format!(
                "{without} of {} {} what arrives at the NodePort of Service {name}: externalTrafficPolicy is Local, and {} {} no ready Pod of it.",
                count(without + nodes.with, "node"),
                if without == 1 { "drops" } else { "drop" },
                list(&nodes.without),
                crate::words::has(without),
            ),
        ),
    };
    let finding = CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("nodes without an endpoint: {}", list(&nodes.without)))
        .fix(subject.patch(&json!({"spec": {"externalTrafficPolicy": "Cluster"}})));
    vec![finding]
}
