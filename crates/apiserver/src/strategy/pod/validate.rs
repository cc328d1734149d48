//! What is wrong with a PodSpec, in the words of `ValidatePodSpec`: the rules that users meet, not all of them.

use super::validate_container::containers;
use crate::status::{FieldError, FieldErrorKind};
use crate::strategy::access::{at, has, list, text};
use crate::strategy::format;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DNS_POLICIES: &[&str] = &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];

/// The errors of a PodSpec that stands at a field.
pub(crate) fn pod_spec(field: &str, spec: &Value) -> Vec<FieldError> {
    let (mut wrong, volumes) = volumes(field, spec);
    wrong.extend(containers(field, spec, &volumes));
    wrong.extend(format::required_one_of(
        &format!("{field}.restartPolicy"),
        text(spec, "restartPolicy"),
        RESTART_POLICIES,
    ));
    wrong.extend(format::required_one_of(
        &format!("{field}.dnsPolicy"),
        text(spec, "dnsPolicy"),
        DNS_POLICIES,
    ));
    if text(spec, "dnsPolicy") == "None" && list(at(spec, &["dnsConfig"]), "nameservers").is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        wrong.push(FieldError::required(format!("{field}.dnsConfig.nameservers"), why));
    }
    wrong.extend(format::labels(&format!("{field}.nodeSelector"), at(spec, &["nodeSelector"])));
    for key in ["hostname", "subdomain"] {
        let name = text(spec, key);
        if !name.is_empty() {
            wrong.extend(format::at_field(&format!("{field}.{key}"), name, format::dns_label(name)));
        }
    }
    for key in ["serviceAccountName", "nodeName"] {
        let name = text(spec, key);
        if !name.is_empty() {
            wrong.extend(format::at_field(&format!("{field}.{key}"), name, format::dns_subdomain(name)));
        }
    }
    let grace = at(spec, &["terminationGracePeriodSeconds"]).as_i64().unwrap_or_default();
    wrong.extend(format::non_negative(&format!("{field}.terminationGracePeriodSeconds"), grace));
    wrong.extend(tolerations(field, spec));
    wrong
}

/// The errors of the volumes, and their names.
fn volumes<'a>(field: &str, spec: &'a Value) -> (Vec<FieldError>, BTreeSet<&'a str>) {
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let at = format!("{field}.volumes[{i}]");
        let name = text(volume, "name");
        let name_field = format!("{at}.name");
        if name.is_empty() {
            wrong.push(FieldError::required(name_field, ""));
        } else {
            wrong.extend(format::at_field(&name_field, name, format::dns_label(name)));
            if !names.insert(name) {
                wrong.push(format::duplicate(&name_field, &json!(name)));
            }
        }
        let sources = volume.as_object().map_or(0, |map| map.keys().filter(|key| *key != "name").count());
        if sources > 1 {
            wrong.push(FieldError::forbidden(at, "may not specify more than 1 volume type"));
        }
    }
    (wrong, names)
}

fn tolerations(field: &str, spec: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    for (i, toleration) in list(spec, "tolerations").iter().enumerate() {
        let at = format!("{field}.tolerations[{i}]");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        if !key.is_empty() {
            wrong.extend(format::at_field(&format!("{at}.key"), key, format::qualified_name(key)));
        } else if operator != "Exists" {
            let why =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            wrong.push(FieldError::invalid(format!("{at}.operator"), &json!(operator), why));
        }
        if has(toleration, "tolerationSeconds") && text(toleration, "effect") != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            wrong.push(FieldError::invalid(format!("{at}.effect"), &json!(text(toleration, "effect")), why));
        }
        if !matches!(operator, "" | "Equal" | "Exists") {
            wrong.push(format::not_supported(&format!("{at}.operator"), operator, &["Equal", "Exists"]));
        }
    }
    wrong
}

/// `Not found`.
pub(super) fn not_found(field: String, name: &str) -> FieldError {
    FieldError::new(FieldErrorKind::NotFound, field, &json!(name), "")
}
