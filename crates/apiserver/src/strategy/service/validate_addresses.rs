//! `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` (`ValidateServiceClusterIPsRelatedFields`).

use super::view::ServiceView;
use crate::status::FieldError;
use crate::strategy::access::{at, has};
use crate::strategy::format;
use serde_json::json;
use std::net::IpAddr;

/// What is wrong among the fields about addresses.
pub(crate) fn validate_addresses(view: &ServiceView<'_>) -> Vec<FieldError> {
    if view.kind() == "ExternalName" {
        return Vec::new();
    }
    let mut wrong: Vec<FieldError> = in_step(view).into_iter().collect();
    wrong.extend(families(view));
    let (bad, stop) = each_address(view);
    wrong.extend(bad);
    if !stop {
        wrong.extend(together(view));
    }
    wrong
}

fn in_step(view: &ServiceView<'_>) -> Option<FieldError> {
    let field = "spec.clusterIPs";
    let (ip, ips) = (view.cluster_ip(), view.cluster_ips());
    let value = at(view.spec, &["clusterIPs"]);
    match (ip.is_empty(), ips.first()) {
        (false, None) => Some(FieldError::required(field, "")),
        (false, Some(first)) if *first != ip => {
            Some(FieldError::invalid(field, value, "first value must match `clusterIP`"))
        }
        (true, Some(_)) => {
            Some(FieldError::invalid(field, value, "must be empty when `clusterIP` is not specified"))
        }
        _ => None,
    }
}

fn families(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let families = view.families();
    for (i, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{i}]");
        wrong.extend(format::one_of(&field, family, &["IPv4", "IPv6"]));
        if families.iter().take(i).any(|f| f == family) {
            wrong.push(format::duplicate(&field, &json!(family)));
        }
    }
    if has(view.spec, "ipFamilyPolicy") {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        wrong.extend(format::one_of("spec.ipFamilyPolicy", view.family_policy(), &supported));
    }
    wrong
}

/// The errors of single addresses, and whether any is no address, which ends the checks.
fn each_address(view: &ServiceView<'_>) -> (Vec<FieldError>, bool) {
    let ips = view.cluster_ips();
    let value = at(view.spec, &["clusterIPs"]);
    let mut wrong = Vec::new();
    for (i, ip) in ips.iter().enumerate() {
        if i == 0 && *ip == "None" {
            if ips.len() > 1 {
                wrong.push(FieldError::invalid(
                    "spec.clusterIPs",
                    value,
                    "'None' must be the first and only value",
                ));
            }
        } else {
            wrong.extend(format::ip(&format!("spec.clusterIPs[{i}]"), ip));
        }
    }
    let stop = !wrong.is_empty();
    if ips.len() > 2 {
        wrong.push(FieldError::invalid("spec.clusterIPs", value, "may only hold up to 2 values"));
    }
    (wrong, stop)
}

fn together(view: &ServiceView<'_>) -> Vec<FieldError> {
    let ips = view.cluster_ips();
    let is_v6: Vec<bool> = ips.iter().map(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6())).collect();
    let mut wrong = Vec::new();
    if ips.len() > 1 && !(is_v6.contains(&true) && is_v6.contains(&false)) {
        let why = "may specify no more than one IP for each IP family";
        wrong.push(FieldError::invalid("spec.clusterIPs", at(view.spec, &["clusterIPs"]), why));
    }
    if view.is_headless() {
        return wrong;
    }
    for (i, (ip, family)) in ips.iter().zip(view.families()).enumerate() {
        if (family == "IPv6") != is_v6[i] && matches!(family, "IPv4" | "IPv6") {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            wrong.push(FieldError::invalid(format!("spec.clusterIPs[{i}]"), &json!(ip), why));
        }
    }
    wrong
}
