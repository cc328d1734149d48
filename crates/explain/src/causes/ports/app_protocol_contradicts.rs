//! An appProtocol that says other than the port's name.

use super::arrival::knock;
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::ServicePort;
use crate::subject::Subject;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "app-protocol-contradicts",
    title: "The port's name and its appProtocol contradict each other",
    about: "Meshes, Ingress controllers and Gateways take `appProtocol` for what is spoken at a port, and some of them its name (`grpc`, \
            `https-admin`). Where the two contradict each other, half of them speak the wrong protocol; within the cluster nothing is changed by it.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: v1\n\
           kind: Service\n\
           metadata: {name: web}\n\
           spec: {selector: {app: web}, ports: [{name: grpc, port: 80, targetPort: 8080, appProtocol: http}]}\n\
           EOF\n\
           kubectl rollout status deployment web",
    mend: "Make `appProtocol` what the application speaks, and the name agree with it.",
    needs: &[],
    look: Look::Service(find),
};

/// A protocol that a name begins with, how `appProtocol` says the same, and what contradicts it.
const CONTRADICTIONS: &[(&str, &[&str])] = &[
    ("grpc", &["http", "kubernetes.io/ws", "kubernetes.io/wss"]),
    ("http", &["https", "tls", "kubernetes.io/wss"]),
    ("https", &["http", "h2c", "kubernetes.io/h2c", "kubernetes.io/ws"]),
    ("mongo", &["http", "https", "http2", "grpc"]),
    ("mysql", &["http", "https", "http2", "grpc"]),
    ("postgres", &["http", "https", "http2", "grpc"]),
    ("redis", &["http", "https", "http2", "grpc"]),
];

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ports = subject.service.spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| finding(subject, index, port)).collect()
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort) -> Option<Finding> {
    let app = port.app_protocol.as_deref()?;
    let named = port.name.split('-').next()?;
    let (_, contradicting) = CONTRADICTIONS.iter().find(|(protocol, _)| *protocol == named)?;
    if !contradicting.contains(&app.to_ascii_lowercase().as_str()) {
        return None;
    }
    let message = format!(
        "By its name, {} of Service {} speaks {named}, but its appProtocol says {app}.",
        knock(port),
        subject.name()
    );
    let finding = CAUSE
        .finding(Severity::Hint, subject.object(), message)
        .evidence(format!("name: {}, appProtocol: {app}", port.name))
        .fix(subject.patch_port(index, "appProtocol", named));
    Some(finding)
}
