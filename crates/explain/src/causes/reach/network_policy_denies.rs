//! NetworkPolicies that let nobody in.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::{NetworkPolicy, Pod, PolicyPort, ServicePort, TargetPort};
use crate::state::State;
use crate::subject::Subject;
use crate::words::{count, list, pods as names};
use std::collections::BTreeSet;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "network-policy-denies",
    title: "NetworkPolicies let nobody in",
    about: "A Pod that a NetworkPolicy for `Ingress` selects gets only what one of the policies that select it allows. Where they allow nobody, or not the \
            Service's target port, clients time out, provided that the cluster's network plugin enforces policies; not all do.",
    make: "# not on a cluster of sealane up: its API server knows no NetworkPolicy\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           cat <<'EOF' | kubectl apply -f -\n\
           apiVersion: networking.k8s.io/v1\n\
           kind: NetworkPolicy\n\
           metadata: {name: deny}\n\
           spec: {podSelector: {}, policyTypes: [Ingress]}\n\
           EOF",
    mend: "Add a policy that lets the clients in, at the Pods' port rather than the Service's.",
    needs: &[Kind::NetworkPolicy],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.view.routes.policies(subject.namespace()).is_empty() {
        return Vec::new();
    }
    // A Pod with its node's network is not what policies are for.
    let ready = subject.pods_that(|state| matches!(state, State::Ready));
    let guarded: Vec<(&Pod, Vec<&NetworkPolicy>)> = ready
        .into_iter()
        .filter(|pod| !pod.spec.host_network)
        .map(|pod| (pod, policies(subject, pod)))
        .filter(|(_, policies)| !policies.is_empty())
        .collect();
    let ports = &subject.service.spec.ports;
    let closed = |port: &ServicePort| {
        let denied = guarded.iter().filter(|(pod, policies)| !allows(policies, pod, port));
        denied.cloned().collect::<Vec<_>>()
    };
    let closed: Vec<_> =
        ports.iter().map(|port| (port, closed(port))).filter(|(_, pods)| !pods.is_empty()).collect();
    let whole =
        closed.iter().flat_map(|(_, pods)| pods).flat_map(|(_, all)| all).all(|p| p.spec.ingress.is_empty());
    match closed.as_slice() {
        [] => Vec::new(),
        [(port, pods), ..] if whole => vec![finding(subject, port, pods, true)],
        closed => closed.iter().map(|(port, pods)| finding(subject, port, pods, false)).collect(),
    }
}

/// The policies that say who may come to a Pod.
fn policies<'a>(subject: &Subject<'a>, pod: &Pod) -> Vec<&'a NetworkPolicy> {
    let here = subject.view.routes.policies(subject.namespace()).iter().copied();
    let about_ingress = |p: &NetworkPolicy| {
        p.spec.policy_types.is_empty() || p.spec.policy_types.iter().any(|t| t == "Ingress")
    };
    here.filter(|p| about_ingress(p) && p.spec.pod_selector.matches(&pod.metadata.labels)).collect()
}

/// Whether one of them lets anybody come to the target port.
fn allows(policies: &[&NetworkPolicy], pod: &Pod, port: &ServicePort) -> bool {
    let Some(number) = pod.resolve(&port.target(), port.protocol()) else { return true };
    let opens = |allowed: &PolicyPort| {
        let protocol = allowed.protocol.as_deref().unwrap_or("TCP");
        let first = allowed.port.as_ref().map(|first| match first {
            TargetPort::Number(first) => Some(*first),
            TargetPort::Name(_) => pod.resolve(first, protocol),
        });
        let is_in = |first: u32| (first..=allowed.end_port.unwrap_or(first)).contains(&number);
        protocol == port.protocol() && first.is_none_or(|first| first.is_some_and(is_in))
    };
    let mut rules = policies.iter().flat_map(|policy| &policy.spec.ingress);
    rules.any(|rule| rule.ports.is_empty() || rule.ports.iter().any(opens))
}

fn finding(
    subject: &Subject<'_>,
    port: &ServicePort,
    denied: &[(&Pod, Vec<&NetworkPolicy>)],
    whole: bool,
) -> Finding {
    let policies: BTreeSet<&str> =
        denied.iter().flat_map(|(_, all)| all).map(|policy| policy.metadata.name.as_str()).collect();
    let policies: Vec<&str> = policies.into_iter().collect();
    let several = policies.len() > 1;
    let to = if whole { "in".to_owned() } else { format!("to port {}", port.target()) };
    let message = format!(
        "NetworkPolic{} {} let{} nobody {to} at {} of {} behind Service {}, if the network plugin enforces {}.",
        if several { "ies" } else { "y" },
        list(&policies),
        if several { "" } else { "s" },
        denied.len(),
        count(subject.ready, "ready Pod"),
        subject.name(),
        if several { "them" } else { "it" },
    );
    let pods: Vec<&Pod> = denied.iter().map(|(pod, _)| *pod).collect();
    CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("{}: selected by {}", names(&pods), policies.join(", ")))
        .fix(subject.kubectl(&format!("describe networkpolicies {}", policies.join(" "))))
}
