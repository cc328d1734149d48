//! What an update of a Service means: values that the server once drew are kept, values that a new type has not are
//! dropped if the caller did not change them too (`pkg/registry/core/service/{strategy,storage}`).

use super::view::ServiceView;
use crate::strategy::access::{at, int, items, keep, remove, set, text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Turns what was sent into what was meant.
pub(super) fn infer(new: &mut Value, old: &Value) {
    let old_view = ServiceView::new(old);
    let Some(mut spec) = new.get_mut("spec").map(Value::take) else { return };
    patch_allocated(&mut spec, &old_view);
    normalize_cluster_ips(&mut spec, Some(&old_view));
    drop_type_dependent(&mut spec, &old_view);
    let balanced = text(&spec, "type") == "LoadBalancer";
    new["spec"] = spec;
    if !balanced {
        set(new, "status", json!({"loadBalancer": {}}));
    }
}

fn view(spec: &Value) -> ServiceView<'_> {
    ServiceView { object: &Value::Null, spec }
}

/// Keeps ClusterIPs, node ports and the health-check port that the caller left out (a PUT of the original manifest).
fn patch_allocated(spec: &mut Value, old: &ServiceView<'_>) {
    if old.needs_cluster_ip() && view(spec).needs_cluster_ip() {
        if view(spec).cluster_ip().is_empty() {
            keep(spec, old.spec, "clusterIP");
        }
        if view(spec).cluster_ips().is_empty() {
            keep(spec, old.spec, "clusterIPs");
        }
    }
    if old.needs_node_port() && view(spec).needs_node_port() {
        patch_node_ports(spec, old);
    }
    if old.needs_health_check() && view(spec).needs_health_check() && view(spec).health_check_port() == 0 {
        keep(spec, old.spec, "healthCheckNodePort");
    }
}

/// Ports are told apart by name here; a number that another port of the Service now asks for is not given twice.
fn patch_node_ports(spec: &mut Value, old: &ServiceView<'_>) {
    let wanted: BTreeSet<i64> = view(spec).node_ports().into_iter().collect();
    let by_name: BTreeMap<&str, i64> =
        old.ports().iter().map(|p| (text(p, "name"), int(p, "nodePort"))).filter(|(_, n)| *n != 0).collect();
    for port in items(spec, "ports") {
        if int(port, "nodePort") != 0 {
            continue;
        }
        if let Some(number) = by_name.get(text(port, "name")).filter(|n| !wanted.contains(n)) {
            set(port, "nodePort", *number);
        }
    }
}

/// Brings `clusterIP` and `clusterIPs` together: old clients know only the first.
pub(super) fn normalize_cluster_ips(spec: &mut Value, old: Option<&ServiceView<'_>>) {
    let new = view(spec);
    let ip = new.cluster_ip().to_owned();
    let Some(old) = old else {
        if !ip.is_empty() && new.cluster_ips().is_empty() {
            set(spec, "clusterIPs", json!([ip]));
        }
        return;
    };
    if new.cluster_ips().is_empty() && !old.cluster_ips().is_empty() && old.cluster_ip() == ip {
        keep(spec, old.spec, "clusterIPs");
    }
    if old.cluster_ip() == ip || !view(spec).same_cluster_ips(old) {
        return;
    }
    if ip.is_empty() {
        remove(spec, "clusterIPs");
    } else {
        set(spec, "clusterIPs", json!([ip]));
    }
}

fn drop_type_dependent(spec: &mut Value, old: &ServiceView<'_>) {
    let new = view(spec);
    let mut gone: Vec<&str> = Vec::new();
    if old.needs_cluster_ip() && !new.needs_cluster_ip() {
        if new.same_cluster_ips(old) {
            gone.extend(["clusterIP", "clusterIPs"]);
        }
        if new.same_families(old) {
            gone.push("ipFamilies");
        }
        if new.same(old, "ipFamilyPolicy") {
            gone.push("ipFamilyPolicy");
        }
    }
    let mut drop_if = |used: bool, uses: bool, key: &'static str| {
        if used && !uses && new.same(old, key) {
            gone.push(key);
        }
    };
    drop_if(old.needs_health_check(), new.needs_health_check(), "healthCheckNodePort");
    drop_if(old.is_load_balancer(), new.is_load_balancer(), "allocateLoadBalancerNodePorts");
    drop_if(old.is_load_balancer(), new.is_load_balancer(), "loadBalancerClass");
    drop_if(old.is_external(), new.is_external(), "externalTrafficPolicy");
    let set_of = |v: &ServiceView<'_>| v.node_ports().into_iter().collect::<BTreeSet<i64>>();
    let node_ports_gone = old.needs_node_port() && !new.needs_node_port() && set_of(&new) == set_of(old);
    for key in gone {
        remove(spec, key);
    }
    if node_ports_gone {
        items(spec, "ports").for_each(|port| remove(port, "nodePort"));
    }
}

/// A change through `…/status` leaves the spec as it was.
pub(super) fn keep_spec(new: &mut Value, old: &Value) {
    set(new, "spec", at(old, &["spec"]).clone());
}
