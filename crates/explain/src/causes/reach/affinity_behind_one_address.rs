//! Session affinity where all clients have one address.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use crate::words::count;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "affinity-behind-one-address",
    title: "Session affinity, and all clients have one address",
    about: "`sessionAffinity: ClientIP` keeps a client with one Pod by its address. Behind an Ingress, or a load balancer that takes the connections itself, \
            all clients have that one's address: one Pod gets them all.",
    make: "# not on a cluster of sealane up: its API server knows no Ingress\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=3\n\
           kubectl expose deployment web --port=80 --target-port=8080 --session-affinity=ClientIP\n\
           kubectl create ingress shop --rule='shop.example.com/*=web:80'",
    mend: "Leave affinity to who sees the clients: cookies of the Ingress controller, say.",
    needs: &[Kind::Ingress],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let service = subject.service;
    if service.spec.session_affinity != crate::objects::Affinity::ClientIP || subject.ready < 2 {
        return Vec::new();
    }
    let balancers = &service.status.load_balancer.ingress;
    let proxy = balancers.iter().find(|balancer| balancer.ip_mode == "Proxy").map(|balancer| {
        let address = if balancer.ip.is_empty() { &balancer.hostname } else { &balancer.ip };
        format!("load balancer {address}")
    });
    let ingress =
        subject.view.routes.ingress(service).map(|ingress| format!("Ingress {}", ingress.metadata.name));
    let Some(way) = proxy.or(ingress) else { return Vec::new() };
    let message = format!(
        "Service {} keeps every client address with one Pod, but all clients that come through {way} have the same address: one of {} gets them all.",
        subject.name(),
        count(subject.ready, "ready Pod"),
    );
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("sessionAffinity: ClientIP, behind {way}"))
        .fix(subject.patch(&json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}})));
    vec![finding]
}
