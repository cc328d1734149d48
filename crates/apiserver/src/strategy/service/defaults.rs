//! The defaults that Kubernetes stores with a Service, and what Go's `omitempty` leaves out.

use super::view::ServiceView;
use crate::strategy::access::{
    at, default, drop_nulls, has, is_zero, items, object, omit_empty, remove, set, text,
};
use serde_json::{Value, json};

/// The lifetime of client affinity, unless given.
const AFFINITY_SECONDS: i64 = 10_800;

const OMITTED: &[&str] = &[
    "type",
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "ipFamilies",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "ports",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
];

/// Fills in the defaults.
pub(super) fn set_defaults(service: &mut Value) {
    drop_nulls(service);
    let Some(spec) = object(service, "spec") else { return };
    omit_empty(spec, OMITTED);
    default(spec, "type", "ClusterIP");
    set_affinity(spec);
    for port in items(spec, "ports") {
        omit_empty(port, &["name", "nodePort", "protocol"]);
        default(port, "protocol", "TCP");
        if is_zero(at(port, &["targetPort"])) {
            let number = at(port, &["port"]).clone();
            set(port, "targetPort", number);
        }
    }
    let view = ServiceView { object: &Value::Null, spec };
    let (external, balanced, external_name) =
        (view.is_external(), view.is_load_balancer(), view.kind() == "ExternalName");
    if external {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if !external_name {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if balanced {
        default(spec, "allocateLoadBalancerNodePorts", true);
        set_ip_modes(service);
    }
}

fn set_affinity(spec: &mut Value) {
    default(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => remove(spec, "sessionAffinityConfig"),
        "ClientIP" if !has(at(spec, &["sessionAffinityConfig", "clientIP"]), "timeoutSeconds") => {
            set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}));
        }
        _ => {}
    }
}

fn set_ip_modes(service: &mut Value) {
    let Some(balancer) = service.pointer_mut("/status/loadBalancer") else { return };
    for ingress in items(balancer, "ingress") {
        if !text(ingress, "ip").is_empty() {
            default(ingress, "ipMode", "VIP");
        }
    }
}
