//! `internalTrafficPolicy: Local`, and nodes without an endpoint.

use super::local::placement;
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use crate::words::{count, has, list};
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "internal-traffic-local",
    title: "Clients on some nodes get nothing",
    about: "With `internalTrafficPolicy: Local` a client in the cluster reaches Pods on its own node only, and nothing if there is none. It is meant for \
            Services whose Pods a DaemonSet runs on every node.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl rollout status deployment web\n\
           cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: v1\n\
           kind: Service\n\
           metadata: {name: web}\n\
           spec: {internalTrafficPolicy: Local, ports: [{port: 80, targetPort: 8080}]}\n\
           ---\n\
           apiVersion: discovery.k8s.io/v1\n\
           kind: EndpointSlice\n\
           metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\n\
           addressType: IPv4\n\
           endpoints: [{addresses: [10.1.2.3]}]\n\
           ports: [{port: 8080}]\n\
           EOF",
    mend: "Run a Pod on every node (a DaemonSet), or let the policy be `Cluster`; `trafficDistribution` prefers near Pods without insisting on them.",
    needs: &[Kind::Node],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let service = subject.service;
    let is_local = service.spec.internal_traffic_policy == "Local";
    let by_daemon_set = subject
        .pods
        .first()
        .and_then(|pod| subject.view.maker(pod))
        .is_some_and(|(kind, _)| kind == "DaemonSet");
    if !is_local || service.is_headless() || service.is_external_name() || by_daemon_set {
        return Vec::new();
    }
    let Some(nodes) = placement(subject, |_| true) else { return Vec::new() };
    let name = subject.name();
    let without = nodes.without.len();
    let (severity, message) = match (nodes.with, without) {
        (0, _) => (
            Severity::Error,
            format!(
                "No client reaches Service {name}: internalTrafficPolicy is Local, and none of its endpoints is on a node that is ready."
            ),
        ),
        (_, 0) => return Vec::new(),
        (with, _) => (
            Severity::Warning,
            format!(
                "Clients on {without} of {} get nothing from Service {name}: internalTrafficPolicy is Local, and {} {} no ready Pod of it.",
                count(without + with, "node"),
                list(&nodes.without),
                has(without),
            ),
        ),
    };
    let finding = CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("nodes without an endpoint: {}", list(&nodes.without)))
        .fix(subject.patch(&json!({"spec": {"internalTrafficPolicy": "Cluster"}})));
    vec![finding]
}
