//! A cluster DNS without ready endpoints.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Object, Severity};
use crate::kind::Kind;
use crate::view::View;

const NAMESPACE: &str = "kube-system";

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "dns-has-no-endpoints",
    title: "Cluster DNS has no ready endpoint",
    about: "Every Pod asks Service `kube-dns` in `kube-system` for names. Without a ready endpoint no name of any Service resolves, \
            though every Service may be fine by its address.",
    make: "sealane node stop node-1   # on a cluster of one node",
    mend: "Bring the DNS back: its Pods on most clusters, a Ready node on ours.",
    needs: &[Kind::ClusterDns],
    look: Look::Cluster(find),
};

fn find(view: &View<'_>) -> Vec<Finding> {
    let dns = view.snapshot.services.iter().find(|service| {
        service.metadata.namespace == NAMESPACE
            && service.metadata.labels.get("k8s-app").is_some_and(|app| app == "kube-dns")
    });
    let Some(dns) = dns else { return Vec::new() };
    let ready =
        view.slices_of(dns).iter().flat_map(|slice| &slice.endpoints).any(|endpoint| endpoint.is_ready());
    if ready {
        return Vec::new();
    }
    let name = &dns.metadata.name;
    let message =
        format!("No name resolves in this cluster: Service {name} in {NAMESPACE} has no ready endpoint.");
    let finding = CAUSE
        .finding(Severity::Error, Object::new("Service", NAMESPACE, name), message)
        .evidence(format!("ClusterIP {} of the cluster DNS", dns.spec.cluster_ip))
        .fix(format!("kubectl -n {NAMESPACE} get pods -l k8s-app=kube-dns -o wide; kubectl get nodes"));
    vec![finding]
}
