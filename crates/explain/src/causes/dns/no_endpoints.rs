//! A cluster DNS without ready endpoints.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Object, Severity};
use crate::fix;
use crate::kind::Kind;
use crate::objects::{Endpoint, Service};
use crate::state::State;
use crate::subject::Subject;
use crate::view::View;

const NAMESPACE: &str = "kube-system";

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "dns-has-no-endpoints",
    title: "Cluster DNS has no ready endpoint",
    about: "Every Pod asks Service `kube-dns` in `kube-system` for names. Without a ready endpoint no name of any Service resolves, \
            though every Service may be fine by its address.",
    make: "# not on a cluster of sealane up: each node answers itself; elsewhere\n\
           kubectl -n kube-system scale deployment coredns --replicas=0",
    mend: "Bring the DNS back: its Pods on most clusters, a Ready node on ours.",
    needs: &[Kind::ClusterDns],
    look: Look::Cluster(find),
};

fn find(view: &View<'_>) -> Vec<Finding> {
    let services = &view.snapshot.services;
    let Some(dns) = services.iter().find(|service| is_named(service)) else {
        // Some distributions have it elsewhere, and under another name.
        return if services.iter().any(answers) { Vec::new() } else { vec![missing()] };
    };
    if view.slices_of(dns).iter().flat_map(|slice| &slice.endpoints).any(Endpoint::is_ready) {
        return Vec::new();
    }
    let (name, subject) = (&dns.metadata.name, Subject::new(view, dns));
    let (why, fix) = why(&subject);
    let message = format!(
        "No name resolves in this cluster: Service {name} in {NAMESPACE} has no ready endpoint{why}."
    );
    let finding = CAUSE
        .finding(Severity::Error, Object::new("Service", NAMESPACE, name), message)
        .evidence(format!("ClusterIP {} of the cluster DNS", dns.spec.cluster_ip))
        .fix(fix);
    vec![finding]
}

/// Whether it is the cluster DNS: the label is a convention that every installer follows.
fn is_named(service: &Service) -> bool {
    let label =
        service.metadata.labels.get("k8s-app").is_some_and(|app| app == "kube-dns" || app == "coredns");
    service.metadata.namespace == NAMESPACE && (label || service.metadata.name == "kube-dns")
}

/// Whether it answers DNS queries.
fn answers(service: &Service) -> bool {
    service.spec.ports.iter().any(|port| port.port == 53 && port.protocol() == "UDP")
}

fn missing() -> Finding {
    let message = format!("No name resolves in this cluster: there is no Service kube-dns in {NAMESPACE}.");
    CAUSE
        .finding(Severity::Error, Object::new("Service", NAMESPACE, "kube-dns"), message)
        .evidence(format!(
            "no Service in {NAMESPACE} has the label k8s-app=kube-dns, and none has port 53/UDP"
        ))
        .fix(format!("kubectl -n {NAMESPACE} get services,deployments,pods -l k8s-app=kube-dns"))
}

/// What its Pods do, and the command for that.
fn why(subject: &Subject<'_>) -> (String, String) {
    let none = || {
        (
            String::new(),
            format!("kubectl -n {NAMESPACE} get pods -l k8s-app=kube-dns -o wide; kubectl get nodes"),
        )
    };
    let pods = subject.pods.len();
    let Some((pod, state)) = subject.with_states().find(|(_, state)| !matches!(state, State::Ready)) else {
        let scaled = subject.workloads().into_iter().find(|w| pods == 0 && w.replicas() == 0);
        return scaled.map_or_else(none, |w| {
            let (kind, name) = (&w.kind, &w.metadata.name);
            let fix = format!("kubectl -n {NAMESPACE} scale {} {name} --replicas=2", kind.to_lowercase());
            (format!(", since {kind} {name} is scaled to zero"), fix)
        });
    };
    let name = &pod.metadata.name;
    let logs = |container: &str, of: &str| {
        format!("kubectl -n {NAMESPACE} logs {name} -c {container}{of} --tail=20")
    };
    match state {
        State::CrashLoop(c) => (format!(", since Pod {name} keeps crashing"), logs(&c.name, " --previous")),
        State::OomKilled(c) => {
            (format!(", since Pod {name} runs out of memory"), logs(&c.name, " --previous"))
        }
        State::NotReady(c) => (format!(", since Pod {name} is not ready"), logs(&c.name, "")),
        State::ImagePull(c) => {
            (format!(", since Pod {name} waits for image {}", c.image), fix::describe(pod))
        }
        State::Unscheduled(_) => (format!(", since Pod {name} has no node"), fix::describe(pod)),
        State::NodeLost => {
            let node = &pod.spec.node_name;
            (
                format!(", since node {node} of Pod {name} is not ready"),
                format!("kubectl describe node {node}"),
            )
        }
        State::CannotStart(_) => (format!(", since Pod {name} cannot start"), fix::describe(pod)),
        _ => none(),
    }
}
