//! Pods on their node's network that ask their node's DNS.

use super::{ndots::show, owner::owner};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::fix;
use crate::kind::Kind;
use crate::objects::Pod;
use crate::view::View;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "host-network-dns",
    title: "A Pod on its node's network resolves no Service",
    about: "A Pod with hostNetwork and the usual dnsPolicy, ClusterFirst, gets the resolv.conf of its node: it asks the node's DNS, which \
            knows no Service. ClusterFirstWithHostNet is for such Pods.",
    make: "kubectl apply -f - <<'EOF'\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: client}\n\
           spec:\n\
           \x20 hostNetwork: true\n\
           \x20 containers: [{name: hello, image: localhost/hello:4.1}]\n\
           EOF",
    mend: "Set dnsPolicy to ClusterFirstWithHostNet, or to Default if the Pod needs no Service: that says so.",
    needs: &[Kind::Deployment, Kind::ReplicaSet],
    look: Look::Pod(find),
};

fn find(view: &View<'_>, pod: &Pod) -> Vec<Finding> {
    let falls_back = pod.spec.host_network && matches!(pod.spec.dns_policy.as_str(), "" | "ClusterFirst");
    let gone = pod.is_finished() || pod.is_terminating();
    if !falls_back || gone || pod.metadata.namespace == "kube-system" {
        return Vec::new();
    }
    // Agents of nodes are DaemonSets: they work for their node, and few of them ask for Services.
    let Some(object) = owner(view, pod).filter(|object| object.kind != "DaemonSet") else {
        return Vec::new();
    };
    let message = format!(
        "{} {} has its node's network and dnsPolicy ClusterFirst, so it asks the node's DNS, which resolves no Service.",
        object.kind, object.name
    );
    let fix = fix::template(view, pod, &json!({"dnsPolicy": "ClusterFirstWithHostNet"}));
    let finding = CAUSE
        .finding(Severity::Hint, object, message)
        .evidence("hostNetwork: true, dnsPolicy: ClusterFirst")
        .fix(fix.unwrap_or_else(|| show(pod)));
    vec![finding]
}
