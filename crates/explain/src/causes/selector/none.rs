//! Services that have neither a selector nor endpoints.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::{EndpointSlice, Workload};
use crate::state::GRACE;
use crate::subject::Subject;
use crate::words::{count, labels};
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "no-selector-no-slices",
    title: "A Service without selector has no endpoints",
    about: "Kubernetes finds endpoints for a Service by its selector. One without a selector gets none but those that somebody writes \
            into an EndpointSlice with the label `kubernetes.io/service-name`.",
    make: "kubectl create service clusterip db --tcp=5432\n\
           kubectl patch service db -p '{\"spec\":{\"selector\":null}}'",
    mend: "Give the Service a selector, or write an EndpointSlice whose label names the Service.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let service = subject.service;
    let young = service.metadata.changed_at();
    let young = young.is_some_and(|at| subject.view.snapshot.now.duration_since(at) < GRACE);
    let serves = subject.endpoints().any(crate::objects::Endpoint::is_ready);
    if !service.spec.selector.is_empty() || service.is_external_name() || serves || young {
        return Vec::new();
    }
    let all = subject.endpoints().count();
    let has = format!("Service {} has no selector", subject.name());
    let finding = |message| CAUSE.finding(Severity::Error, subject.object(), message);
    vec![match (all, stray(subject), namesake(subject)) {
        (0, Some(slice), _) => {
            let slice = &slice.metadata.name;
            finding(format!("{has}, and EndpointSlice {slice} does not say that it belongs to it: it lacks the label kubernetes.io/service-name."))
                .evidence(format!("EndpointSlice {slice}, no label kubernetes.io/service-name"))
                .fix(subject.kubectl(&format!(
                    "label endpointslice {slice} kubernetes.io/service-name={}",
                    subject.name()
                )))
        }
        (0, None, Some(workload)) => {
            let (kind, name) = (&workload.kind, &workload.metadata.name);
            let wanted = &workload.spec.selector.match_labels;
            finding(format!(
                "{has} and no EndpointSlice, so {kind} {name} gets nothing from it: its Pods have {}.",
                labels(wanted)
            ))
            .evidence("no selector, no EndpointSlice with endpoints")
            .fix(subject.patch(&json!({"spec": {"selector": wanted}})))
        }
        (0, None, None) => {
            finding(format!("{has}, and nobody has written endpoints for it into an EndpointSlice."))
                .evidence("no selector, no EndpointSlice with endpoints")
                .fix(subject.kubectl("get endpointslices,pods --show-labels"))
        }
        _ => finding(format!("{has}, and none of its {} is ready.", count(all, "endpoint")))
            .evidence("conditions.ready: false of all endpoints")
            .fix(subject.kubectl(&format!(
                "get endpointslices -l kubernetes.io/service-name={} -o yaml",
                subject.name()
            ))),
    }]
}

/// A slice that is no Service's, and is named as if it were this one's.
fn stray<'a>(subject: &Subject<'a>) -> Option<&'a EndpointSlice> {
    let named = |slice: &&EndpointSlice| {
        let rest = slice.metadata.name.strip_prefix(subject.name());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) && !slice.endpoints.is_empty()
    };
    subject.view.stray_slices(subject.namespace()).iter().copied().find(named)
}

/// A workload with the Service's name.
fn namesake<'a>(subject: &Subject<'a>) -> Option<&'a Workload> {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    let found = |kind| subject.view.workload(kind, subject.namespace(), subject.name());
    kinds.into_iter().find_map(found).filter(|workload| !workload.spec.selector.match_labels.is_empty())
}
