//! What is wrong with the containers of a Pod.

use super::quantity;
use super::validate::not_found;
use crate::status::FieldError;
use crate::strategy::access::{at, has, int, list, pairs, text};
use crate::strategy::format;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PROBE_HANDLERS: &[&str] = &["exec", "grpc", "httpGet", "tcpSocket"];

/// The errors of all containers of a PodSpec at a field, whose volumes are named.
pub(super) fn containers(field: &str, spec: &Value, volumes: &BTreeSet<&str>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    if list(spec, "containers").is_empty() {
        wrong.push(FieldError::required(format!("{field}.containers"), ""));
    }
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        for (i, container) in list(spec, key).iter().enumerate() {
            let at = format!("{field}.{key}[{i}]");
            let name = text(container, "name");
            if !name.is_empty() && !names.insert(name) {
                wrong.push(format::duplicate(&format!("{at}.name"), &json!(name)));
            }
            wrong.extend(one(&at, container, volumes));
        }
    }
    wrong
}

fn one(field: &str, container: &Value, volumes: &BTreeSet<&str>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let name = text(container, "name");
    if name.is_empty() {
        wrong.push(FieldError::required(format!("{field}.name"), ""));
    } else {
        wrong.extend(format::at_field(&format!("{field}.name"), name, format::dns_label(name)));
    }
    let image = text(container, "image");
    if image.is_empty() {
        wrong.push(FieldError::required(format!("{field}.image"), ""));
    } else if image != image.trim() {
        let why = "must not have leading or trailing whitespace";
        wrong.push(FieldError::invalid(format!("{field}.image"), &json!(image), why));
    }
    wrong.extend(ports(field, container));
    wrong.extend(environment(field, container));
    wrong.extend(mounts(field, container, volumes));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe) {
            wrong.extend(handler(&format!("{field}.{probe}"), value, probe != "readinessProbe"));
        }
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    let policy = text(container, "imagePullPolicy");
    wrong.extend(format::required_one_of(&format!("{field}.imagePullPolicy"), policy, &policies));
    wrong.extend(resources(&format!("{field}.resources"), at(container, &["resources"])));
    wrong
}

fn ports(field: &str, container: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for (i, port) in list(container, "ports").iter().enumerate() {
        let at = format!("{field}.ports[{i}]");
        let name = text(port, "name");
        if !name.is_empty() {
            wrong.extend(format::at_field(&at, name, format::port_name(name)));
            if !names.insert(name) {
                wrong.push(format::duplicate(&format!("{at}.name"), &json!(name)));
            }
        }
        let number = int(port, "containerPort");
        let number_field = format!("{at}.containerPort");
        if number == 0 {
            wrong.push(FieldError::required(number_field, ""));
        } else {
            let bad = format::port_number(number);
            wrong.extend(bad.into_iter().map(|why| FieldError::invalid(&number_field, &json!(number), why)));
        }
        let host = int(port, "hostPort");
        if host != 0 {
            let bad = format::port_number(host);
            wrong.extend(
                bad.into_iter().map(|why| FieldError::invalid(format!("{at}.hostPort"), &json!(host), why)),
            );
        }
        let protocol = text(port, "protocol");
        wrong.extend(format::required_one_of(&format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
    }
    wrong
}

fn environment(field: &str, container: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    for (i, variable) in list(container, "env").iter().enumerate() {
        let at = format!("{field}.env[{i}]");
        let name = text(variable, "name");
        if name.is_empty() {
            wrong.push(FieldError::required(format!("{at}.name"), ""));
        } else if name.contains('=') || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            let why = "a valid environment variable name must consist only of printable ASCII characters other \
                than '=', and may not be empty";
            wrong.push(FieldError::invalid(format!("{at}.name"), &json!(name), why));
        }
        if has(variable, "valueFrom") && !text(variable, "value").is_empty() {
            let why = "may not be specified when `value` is not empty";
            wrong.push(FieldError::invalid(format!("{at}.valueFrom"), &json!(""), why));
        }
    }
    wrong
}

fn mounts(field: &str, container: &Value, volumes: &BTreeSet<&str>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut paths = BTreeSet::new();
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let at = format!("{field}.volumeMounts[{i}]");
        let (name, path) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            wrong.push(FieldError::required(format!("{at}.name"), ""));
        } else if !volumes.contains(name) && !name.starts_with("kube-api-access-") {
            wrong.push(not_found(format!("{at}.name"), name));
        }
        if path.is_empty() {
            wrong.push(FieldError::required(format!("{at}.mountPath"), ""));
        } else if !paths.insert(path) {
            wrong.push(FieldError::invalid(format!("{at}.mountPath"), &json!(path), "must be unique"));
        }
    }
    wrong
}

fn handler(field: &str, probe: &Value, success_must_be_one: bool) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let handlers: Vec<&str> = PROBE_HANDLERS.iter().copied().filter(|h| has(probe, h)).collect();
    match handlers.as_slice() {
        [] => wrong.push(FieldError::required(field, "must specify a handler type")),
        [_] => {}
        [_, more @ ..] => {
            let why = "may not specify more than 1 handler type";
            wrong.extend(more.iter().map(|h| FieldError::forbidden(format!("{field}.{h}"), why)));
        }
    }
    for key in ["httpGet", "tcpSocket"] {
        if let Some(port) = probe.get(key).and_then(|h| h.get("port")) {
            wrong.extend(format::port_or_name(&format!("{field}.{key}.port"), port));
        } else if has(probe, key) {
            wrong.extend(format::port_or_name(&format!("{field}.{key}.port"), &json!(0)));
        }
    }
    let seconds =
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    wrong.extend(
        seconds.iter().filter_map(|key| format::non_negative(&format!("{field}.{key}"), int(probe, key))),
    );
    if success_must_be_one && int(probe, "successThreshold") > 1 {
        let value = json!(int(probe, "successThreshold"));
        wrong.push(FieldError::invalid(format!("{field}.successThreshold"), &value, "must be 1"));
    }
    wrong
}

fn resources(field: &str, resources: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let amount = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (quantity::parse(&text), text)
    };
    for (resource, value) in pairs(resources, "limits") {
        let (number, text) = amount(value);
        wrong.extend(quantity_error(&format!("{field}.limits[{resource}]"), number, &text));
    }
    for (resource, value) in pairs(resources, "requests") {
        let at_request = format!("{field}.requests[{resource}]");
        let (number, text) = amount(value);
        wrong.extend(quantity_error(&at_request, number, &text));
        let Some(limit) = at(resources, &["limits"]).get(resource) else { continue };
        let (limit, limit_text) = amount(limit);
        if number > limit && limit.is_some() {
            let why = format!("must be less than or equal to {resource} limit of {limit_text}");
            wrong.push(FieldError::invalid(format!("{field}.requests"), &json!(text), why));
        }
    }
    wrong
}

fn quantity_error(field: &str, number: Option<i128>, text: &str) -> Option<FieldError> {
    match number {
        None => {
            let why =
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
            Some(FieldError::invalid(field, &json!(text), why))
        }
        Some(n) if n < 0 => {
            Some(FieldError::invalid(field, &json!(text), "must be greater than or equal to 0"))
        }
        Some(_) => None,
    }
}
