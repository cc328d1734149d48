//! A headless Service whose port is not the Pods'.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::ServicePort;
use crate::subject::Subject;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "headless-port-differs",
    title: "A headless Service translates no port",
    about: "A headless Service has no address of its own: DNS answers with the Pods' addresses, and what a client sends there goes to the very port that \
            it names. A `targetPort` other than `port` is told in SRV records only.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080 --cluster-ip=None\n\
           kubectl rollout status deployment web",
    mend: "Make `port` the Pods' port, or give the Service a ClusterIP.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let service = subject.service;
    if !service.is_headless() || service.is_external_name() || service.spec.selector.is_empty() {
        return Vec::new();
    }
    let ports = service.spec.ports.iter().enumerate();
    ports.filter_map(|(index, port)| finding(subject, index, port)).collect()
}

fn finding(subject: &Subject<'_>, index: usize, port: &ServicePort) -> Option<Finding> {
    let numbers: Vec<u32> = subject.targets(port).into_iter().filter_map(|(_, number)| number).collect();
    let number = *numbers.first()?;
    if numbers.contains(&port.port) {
        return None;
    }
    let message = format!(
        "Service {} is headless, so DNS gives clients the addresses of its Pods: there they have to use port {number}, not {}.",
        subject.name(),
        port.port
    );
    let finding = CAUSE
        .finding(Severity::Hint, subject.object(), message)
        .evidence(format!("clusterIP: None, port: {}, targetPort: {}", port.port, port.target()))
        .fix(subject.patch_port(index, "port", number));
    Some(finding)
}
