//! A class of load balancers that nobody serves.

use super::pending::{Pending, meanwhile, pending};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "load-balancer-class-unknown",
    title: "Nobody serves the load balancer's class",
    about: "A Service with `loadBalancerClass` is left to the controller of that class: the cluster's own load balancer ignores it, and without such \
            a controller its address stays `<pending>`.",
    make: "cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: v1\n\
           kind: Service\n\
           metadata: {name: web}\n\
           spec: {type: LoadBalancer, loadBalancerClass: example.com/internal, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n\
           EOF\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl rollout status deployment web\n\
           sleep 31   # so long a load balancer may take",
    mend: "Install the controller of that class, or leave the class away. It cannot be changed while the type is LoadBalancer.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(Pending::Class(class)) = pending(subject) else { return Vec::new() };
    let message = format!(
        "Service {} asks for a load balancer of class {class}, and nobody in this cluster has answered{}.",
        subject.name(),
        meanwhile(subject)
    );
    let away = subject.patch(&json!({"spec": {"type": "NodePort", "loadBalancerClass": null}}));
    let back = subject.patch(&json!({"spec": {"type": "LoadBalancer"}}));
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("loadBalancerClass: {class}, status.loadBalancer: {{}}"))
        .fix(format!("{away} && {back}"));
    vec![finding]
}
