//! What an update may not change (`ValidateServiceUpdate`): the primary address and family, the class of a load
//! balancer, the health-check port. A change from, to or on ExternalName is free.

use super::view::ServiceView;
use crate::status::FieldError;
use crate::strategy::access::at;
use serde_json::Value;

const ONCE: &str = "may not change once set";

/// `ValidateServiceUpdate`.
pub(super) fn validate(new: &Value, old: &Value) -> Vec<FieldError> {
    let (n, o) = (ServiceView::new(new), ServiceView::new(old));
    let mut wrong = Vec::new();
    if n.kind() != "ExternalName" && o.kind() != "ExternalName" {
        wrong.extend(addresses(&n, &o));
        wrong.extend(families(&n, &o));
    }
    if n.is_load_balancer() && o.is_load_balancer() && !n.same(&o, "loadBalancerClass") {
        wrong.push(FieldError::invalid("spec.loadBalancerClass", at(n.spec, &["loadBalancerClass"]), ONCE));
    }
    let both = n.needs_health_check() && o.needs_health_check();
    if both && n.health_check_port() != o.health_check_port() {
        wrong.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    wrong.extend(super::validate::validate(new));
    wrong
}

fn addresses(n: &ServiceView<'_>, o: &ServiceView<'_>) -> Vec<FieldError> {
    if n.is_headless() && o.is_headless() {
        return Vec::new();
    }
    let value = at(n.spec, &["clusterIPs"]);
    let (new, old) = (n.cluster_ips(), o.cluster_ips());
    let changed = |i: usize| FieldError::invalid(format!("spec.clusterIPs[{i}]"), value, ONCE);
    if new.len() == old.len() {
        return (0..old.len()).filter(|i| new[*i] != old[*i]).map(changed).collect();
    }
    let mut wrong = Vec::new();
    if new.is_empty() {
        wrong.push(FieldError::invalid("spec.clusterIPs[0]", value, "primary clusterIP can not be unset"));
    } else if old.first().is_some_and(|first| *first != new[0]) {
        wrong.push(changed(0));
    }
    if new.len() < old.len() && new.len() == 1 && n.family_policy() != "SingleStack" {
        let why = "must be set to 'SingleStack' when releasing the secondary clusterIP";
        wrong.push(FieldError::invalid("spec.ipFamilyPolicy", at(n.spec, &["ipFamilyPolicy"]), why));
    }
    wrong
}

fn families(n: &ServiceView<'_>, o: &ServiceView<'_>) -> Vec<FieldError> {
    if n.is_headless() || o.is_headless() {
        return Vec::new();
    }
    let field = "spec.ipFamilies[0]";
    let value = at(n.spec, &["ipFamilies"]);
    let (new, old) = (n.families(), o.families());
    if new.is_empty() {
        return Vec::new(); // left out: the allocation fills it in from before
    }
    if new.len() == old.len() {
        let changed = (0..old.len()).filter(|i| new[*i] != old[*i]);
        return changed.map(|_| FieldError::invalid(field, value, ONCE)).collect();
    }
    let mut wrong = Vec::new();
    if old.first().is_some_and(|first| *first != new[0]) {
        wrong.push(FieldError::invalid(field, at(n.spec, &["clusterIPs"]), ONCE));
    }
    if new.len() < old.len() && n.family_policy() != "SingleStack" {
        let why = "must be set to 'SingleStack' when releasing the secondary ipFamily";
        wrong.push(FieldError::invalid("spec.ipFamilyPolicy", at(n.spec, &["ipFamilyPolicy"]), why));
    }
    wrong
}
