//! Pods that ask for Services as if they were public names.

use super::owner::owner;
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::fix;
use crate::kind::Kind;
use crate::objects::Pod;
use crate::view::View;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "ndots",
    title: "Names of Services are first asked as public names",
    about: "A resolver asks for a name with at least `ndots` dots as it is, before it tries the cluster's domains; Kubernetes sets 5. \
            With 1 or 0 `web.shop` is asked of the internet first, and some resolvers (musl's, in Alpine images) then ask nothing else.",
    make: "kubectl apply -f - <<'EOF'\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: client}\n\
           spec:\n\
           \x20 dnsConfig: {options: [{name: ndots, value: \"1\"}]}\n\
           \x20 containers: [{name: hello, image: localhost/hello:4.1}]\n\
           EOF",
    mend: "Use full names of Services with a dot at the end (`web.shop.svc.cluster.local.`), or set ndots to 2 or more.",
    needs: &[Kind::Deployment, Kind::ReplicaSet],
    look: Look::Pod(find),
};

fn find(view: &View<'_>, pod: &Pod) -> Vec<Finding> {
    let options = &pod.spec.dns_config.options;
    let ndots =
        options.iter().rfind(|option| option.name == "ndots").and_then(|option| option.value.as_deref());
    let Some(ndots @ 0..=1) = ndots.and_then(|value| value.parse::<u32>().ok()) else { return Vec::new() };
    // With other policies the Pod does not ask the cluster's DNS at all, and what it does is meant so.
    let asks_cluster = match pod.spec.dns_policy.as_str() {
        "" | "ClusterFirst" => !pod.spec.host_network,
        policy => policy == "ClusterFirstWithHostNet",
    };
    if !asks_cluster || pod.is_finished() || pod.is_terminating() {
        return Vec::new();
    }
    let Some(object) = owner(view, pod) else { return Vec::new() };
    let what = if ndots == 0 { "every name, even web," } else { "a name such as web.shop" };
    let message = format!(
        "{} {} sets ndots:{ndots}, so {what} is asked as a public name first, and only then, if at all, as a Service.",
        object.kind, object.name
    );
    let mut wanted: Vec<_> = options.iter().filter(|option| option.name != "ndots").collect();
    wanted.sort_by_key(|option| &option.name);
    let others = wanted.into_iter().map(|option| match &option.value {
        Some(value) => json!({"name": option.name, "value": value}),
        None => json!({"name": option.name}),
    });
    let options: Vec<_> = others.chain([json!({"name": "ndots", "value": "5"})]).collect();
    let fix = fix::template(view, pod, &json!({"dnsConfig": {"options": options}}));
    let finding = CAUSE
        .finding(Severity::Hint, object, message)
        .evidence(format!("dnsConfig.options: ndots={ndots}"))
        .fix(fix.unwrap_or_else(|| show(pod)));
    vec![finding]
}

/// The DNS settings of a Pod that cannot be changed.
pub(super) fn show(pod: &Pod) -> String {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    format!("kubectl -n {namespace} get pod {name} -o jsonpath='{{.spec.dnsPolicy}} {{.spec.dnsConfig}}'")
}
