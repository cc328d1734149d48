//! Slices with endpoints that the selector does not ask for.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{Endpoint, EndpointSlice};
use crate::subject::Subject;
use crate::words::{count, is, list};
use jiff::SignedDuration;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "stale-slices",
    title: "EndpointSlices hold what the selector does not ask for",
    about: "Clients follow a Service's EndpointSlices, not its selector. A slice that was written by hand stays when the Service gets a \
            selector, and its endpoints get their share of the connections; slices that the controller does not bring up to date lead to \
            Pods that are gone or somebody else's.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl apply -f - <<'EOF'\n\
           apiVersion: discovery.k8s.io/v1\n\
           kind: EndpointSlice\n\
           metadata: {name: web-by-hand, labels: {kubernetes.io/service-name: web}}\n\
           addressType: IPv4\n\
           endpoints: [{addresses: [192.0.2.7]}]\n\
           ports: [{port: 8080, protocol: TCP}]\n\
           EOF",
    mend: "Delete the slice that was written by hand, or take away the selector. If the controller lags, see whether it runs.",
    needs: &[],
    look: Look::Service(find),
};

/// Who writes the slices of Services that have a selector.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Who copies Endpoints of Services without a selector into slices.
const MIRROR: &str = "endpointslicemirroring-controller.k8s.io";
/// For so long the controller may take to follow a change.
const LAG: SignedDuration = SignedDuration::from_secs(15);

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.service.spec.selector.is_empty() || subject.service.is_external_name() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> =
        subject.slices.iter().filter_map(|slice| by_hand(subject, slice)).collect();
    findings.extend(outdated(subject));
    findings
}

/// A slice that was made by hand, or mirrored, beside those of the controller. Another program's are meant so.
fn by_hand(subject: &Subject<'_>, slice: &EndpointSlice) -> Option<Finding> {
    let hand = match slice.manager() {
        None => "was written by hand",
        Some(MIRROR) => "was copied from Endpoints that were written by hand",
        Some(_) => return None,
    };
    let addresses = slice.endpoints.iter().filter(|endpoint| endpoint.is_ready());
    let addresses: Vec<&str> =
        addresses.flat_map(|endpoint| &endpoint.addresses).map(String::as_str).collect();
    if addresses.is_empty()
        || slice.metadata.deletion_timestamp.is_some()
        || slice.metadata.controller().is_some()
    {
        return None;
    }
    let name = &slice.metadata.name;
    let message = format!(
        "Service {} has a selector, but also sends clients to {}, from EndpointSlice {name}, which {hand}.",
        subject.name(),
        list(&addresses)
    );
    let finding = CAUSE.finding(Severity::Warning, subject.object(), message);
    let manager = slice.manager().unwrap_or("none");
    Some(
        finding
            .evidence(format!("EndpointSlice {name}, endpointslice.kubernetes.io/managed-by: {manager}"))
            .fix(subject.kubectl(&format!("delete endpointslice {name}"))),
    )
}

/// Ready endpoints of the controller's slices whose Pods are gone or are not selected, though it had the time to see that.
fn outdated(subject: &Subject<'_>) -> Option<Finding> {
    let now = subject.view.snapshot.now;
    let settled = |at: Option<jiff::Timestamp>| at.is_none_or(|at| now.duration_since(at) >= LAG);
    if !settled(subject.service.metadata.changed_at()) {
        return None;
    }
    let ours = subject.slices.iter().filter(|slice| slice.manager() == Some(CONTROLLER));
    let ready = ours.flat_map(|slice| &slice.endpoints).filter(|endpoint| endpoint.is_ready());
    let (mut gone, mut others) = (Vec::new(), Vec::new());
    for (endpoint, name) in ready.filter_map(|endpoint| Some((endpoint, pod_of(endpoint)?))) {
        match subject.view.pod(subject.namespace(), name) {
            None => gone.push(name),
            Some(pod) if settled(pod.metadata.changed_at()) && !selects(subject, pod) => others.push(name),
            Some(pod) if !is_same(endpoint, &pod.metadata.uid) => gone.push(name),
            Some(_) => {}
        }
    }
    let what = match (gone.as_slice(), others.as_slice()) {
        ([], []) => return None,
        (gone, []) => format!("{}, which {} gone", pods(gone), is(gone.len())),
        ([], others) => format!("{}, which it does not select", pods(others)),
        (gone, others) => {
            format!(
                "{}, which {} gone, and to {}, which it does not select",
                pods(gone),
                is(gone.len()),
                pods(others)
            )
        }
    };
    let message =
        format!("Service {} sends clients to {what}: its EndpointSlices are not up to date.", subject.name());
    let finding = CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("{} of its EndpointSlices", count(gone.len() + others.len(), "ready endpoint")))
        .fix(subject.kubectl(&format!(
            "delete endpointslices -l kubernetes.io/service-name={},endpointslice.kubernetes.io/managed-by={CONTROLLER}",
            subject.name()
        )));
    Some(finding)
}

fn pod_of(endpoint: &Endpoint) -> Option<&str> {
    endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod").map(|target| target.name.as_str())
}

/// Whether the endpoint is that Pod, not one before it of the same name.
fn is_same(endpoint: &Endpoint, uid: &str) -> bool {
    endpoint.target_ref.as_ref().is_some_and(|target| target.uid.is_empty() || target.uid == uid)
}

fn selects(subject: &Subject<'_>, pod: &crate::objects::Pod) -> bool {
    subject.service.spec.selector.select(&pod.metadata.labels)
}

fn pods(names: &[&str]) -> String {
    format!("{} {}", if names.len() == 1 { "Pod" } else { "Pods" }, list(names))
}
