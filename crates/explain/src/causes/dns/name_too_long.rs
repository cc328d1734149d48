//! Pods whose names are cut to make host names.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::fix;
use crate::objects::Pod;
use crate::subject::Subject;
use crate::words::pods as names;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "name-too-long",
    title: "A Pod's name is too long for a host name",
    about: "A Pod with a `subdomain` calls itself by its host name within its headless Service: that is its `hostname`, or else its name. A \
            host name has at most 63 characters, so that the kubelet cuts a longer name, and the Pod tells its peers a name that is not its own.",
    make: "kubectl apply -f - <<'EOF'\n\
           apiVersion: v1\n\
           kind: Service\n\
           metadata: {name: peers}\n\
           spec: {clusterIP: None, selector: {app: member}, ports: [{port: 8080}]}\n\
           ---\n\
           apiVersion: v1\n\
           kind: Pod\n\
           metadata: {name: member-of-the-replicated-storage-cluster-of-the-shop-in-frankfurt-1, labels: {app: member}}\n\
           spec:\n\
           \x20 subdomain: peers\n\
           \x20 containers: [{name: hello, image: localhost/hello:4.1, ports: [{containerPort: 8080}]}]\n\
           EOF",
    mend: "Give the Pods a shorter name, or a `hostname` of their own.",
    needs: &[],
    look: Look::Service(find),
};

/// A DNS label, and so a host name, has at most so many characters.
const LONGEST: usize = 63;

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let cut = |pod: &&Pod| {
        let name = &pod.metadata.name;
        pod.spec.subdomain == subject.name() && pod.spec.hostname.is_empty() && name.len() > LONGEST
    };
    if !subject.service.is_headless() {
        return Vec::new();
    }
    let long: Vec<&Pod> =
        subject.live().into_iter().filter(|pod| cut(pod) && !pod.spec.host_network).collect();
    let Some(first) = long.first() else { return Vec::new() };
    let name = &first.metadata.name;
    let message = format!(
        "The name of Pod {name} behind Service {} has {} characters, so its host name is cut to 63: {}.",
        subject.name(),
        name.len(),
        host_name(name)
    );
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("{}, subdomain: {}", names(&long), subject.name()))
        .fix(fix::describe(first));
    vec![finding]
}

/// As the kubelet makes it: the first 63 characters, without dots and dashes at the end.
fn host_name(pod: &str) -> &str {
    pod.get(..LONGEST).unwrap_or(pod).trim_end_matches(['-', '.'])
}
