//! `Warning:` headers about a Service (`pkg/api/service/warnings.go`).

use super::view::ServiceView;
use crate::strategy::access::{at, has, list, text};
use serde_json::Value;

/// What is said but not refused.
pub(super) fn warnings(service: &Value) -> Vec<String> {
    let view = ServiceView::new(service);
    let external_ips = !list(view.spec, "externalIPs").is_empty();
    let headless = view.is_headless();
    let annotated =
        has(at(service, &["metadata", "annotations"]), "service.kubernetes.io/topology-aware-hints");
    let checks = [
        (
            headless && !text(view.spec, "loadBalancerIP").is_empty(),
            "spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"",
        ),
        (headless && external_ips, "spec.externalIPs is ignored when spec.clusterIP is \"None\""),
        (
            headless && text(view.spec, "sessionAffinity") == "ClientIP",
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            view.kind() == "ExternalName" && external_ips,
            "spec.externalIPs is ignored when spec.type is \"ExternalName\"",
        ),
        (
            annotated,
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead",
        ),
    ];
    checks.iter().filter(|(applies, _)| *applies).map(|(_, warning)| (*warning).to_owned()).collect()
}
