//! A load balancer that nobody gives.

use super::pending::{Pending, meanwhile, pending};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "load-balancer-pending",
    title: "Nobody gives the Service a load balancer",
    about: "Kubernetes itself makes no load balancers: a cloud's controller, or one such as MetalLB does. Without one the address of a Service of type \
            LoadBalancer stays `<pending>`; its NodePort works all the same.",
    make: "# not on a cluster of sealane up: it has a controller for load balancers\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --type=LoadBalancer --port=80 --target-port=8080",
    mend: "Install a controller for load balancers, or use the NodePort.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(Pending::Nobody) = pending(subject) else { return Vec::new() };
    let message = format!(
        "Service {} waits for a load balancer, and no controller of this cluster has given it one{}.",
        subject.name(),
        meanwhile(subject)
    );
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence("type: LoadBalancer, status.loadBalancer: {}, and no Event says why")
        .fix(subject.patch(&json!({"spec": {"type": "NodePort"}})));
    vec![finding]
}
