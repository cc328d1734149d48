//! Endpoints and EndpointSlices (`ValidateEndpoints`, `pkg/apis/discovery`).

use super::access::{at, default, has, int, items, list, set, strings, text};
use super::{Part, Strategy, format, generation};
use crate::status::{FieldError, FieldErrorKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
/// Ports of one slice.
const PORTS_MAX: usize = 20_000;
/// Endpoints of one slice.
const ENDPOINTS_MAX: usize = 1000;
/// Addresses of one endpoint.
const ADDRESSES_MAX: usize = 100;

/// The strategy of Endpoints.
pub(super) struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, object: &mut Value) {
        for subset in items(object, "subsets") {
            items(subset, "ports").for_each(|port| default(port, "protocol", "TCP"));
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let subsets = list(object, "subsets").iter().enumerate();
        subsets.flat_map(|(i, each)| subset(&format!("subsets[{i}]"), each)).collect()
    }

    fn warnings(&self, _object: &Value) -> Vec<String> {
        vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into()]
    }
}

fn subset(field: &str, subset: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
        wrong.push(FieldError::required(field, "must specify `addresses` or `notReadyAddresses`"));
    }
    for key in ["addresses", "notReadyAddresses"] {
        for (i, address) in list(subset, key).iter().enumerate() {
            let at = format!("{field}.{key}[{i}]");
            let ip = text(address, "ip");
            let bad = format::ip(&format!("{at}.ip"), ip);
            wrong.extend(if bad.is_empty() { format::non_special_ip(&format!("{at}.ip"), ip) } else { bad });
            let name = text(address, "hostname");
            if !name.is_empty() {
                wrong.extend(format::at_field(&format!("{at}.hostname"), name, format::dns_label(name)));
            }
        }
    }
    let ports = list(subset, "ports");
    for (i, port) in ports.iter().enumerate() {
        let at = format!("{field}.ports[{i}]");
        let name = text(port, "name");
        if ports.len() > 1 && name.is_empty() {
            wrong.push(FieldError::required(format!("{at}.name"), ""));
        } else if !name.is_empty() {
            wrong.extend(format::at_field(&format!("{at}.name"), name, format::dns_label(name)));
        }
        let number = int(port, "port");
        let bad = format::port_number(number);
        wrong.extend(
            bad.into_iter().map(|why| FieldError::invalid(format!("{at}.port"), &json!(number), why)),
        );
        let protocol = text(port, "protocol");
        wrong.extend(format::required_one_of(&format!("{at}.protocol"), protocol, PROTOCOLS));
    }
    wrong
}

/// The strategy of EndpointSlices.
pub(super) struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn default(&self, object: &mut Value) {
        for port in items(object, "ports") {
            if !has(port, "name") {
                set(port, "name", "");
            }
            default(port, "protocol", "TCP");
        }
        if !has(object, "endpoints") {
            set(object, "endpoints", json!([]));
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        generation::start(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part) {
        let labels = |o: &Value| at(o, &["metadata", "labels"]).clone();
        let same = ["ports", "endpoints", "addressType"].iter().all(|key| at(new, &[key]) == at(old, &[key]));
        if !same || labels(new) != labels(old) {
            generation::count(new, old);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let family = text(object, "addressType");
        let mut wrong: Vec<FieldError> =
            format::required_one_of("addressType", family, &["FQDN", "IPv4", "IPv6"]).into_iter().collect();
        wrong.extend(slice_endpoints(object, family));
        wrong.extend(slice_ports(object));
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part) -> Vec<FieldError> {
        let mut wrong = self.validate(new);
        wrong.extend(format::immutable("addressType", at(new, &["addressType"]), at(old, &["addressType"])));
        wrong
    }

    fn on_read(&self, object: &mut Value) {
        if !has(object, "endpoints") {
            set(object, "endpoints", json!([]));
        }
        if object.get("ports").is_none() {
            set(object, "ports", Value::Null);
        }
    }
}

fn too_many(field: &str, count: usize, max: usize) -> Option<FieldError> {
    (count > max).then(|| {
        FieldError::new(
            FieldErrorKind::TooMany,
            field,
            &json!(count),
            format!("must have at most {max} items"),
        )
    })
}

fn slice_endpoints(object: &Value, family: &str) -> Vec<FieldError> {
    let endpoints = list(object, "endpoints");
    if let Some(error) = too_many("endpoints", endpoints.len(), ENDPOINTS_MAX) {
        return vec![error];
    }
    endpoints
        .iter()
        .enumerate()
        .flat_map(|(i, each)| endpoint(&format!("endpoints[{i}]"), each, family))
        .collect()
}

fn endpoint(field: &str, endpoint: &Value, family: &str) -> Vec<FieldError> {
    let addresses = strings(endpoint, "addresses");
    let at_addresses = format!("{field}.addresses");
    let mut wrong = Vec::new();
    if addresses.is_empty() {
        wrong.push(FieldError::required(&at_addresses, "must contain at least 1 address"));
    }
    wrong.extend(too_many(&at_addresses, addresses.len(), ADDRESSES_MAX));
    for (i, text) in addresses.iter().enumerate() {
        let at = format!("{at_addresses}[{i}]");
        let ip = text.parse::<std::net::IpAddr>().ok();
        let bad = match family {
            "IPv4" if !ip.is_some_and(|ip| ip.is_ipv4()) => Some("must be a valid IPv4 address"),
            "IPv6" if !ip.is_some_and(|ip| ip.is_ipv6()) => Some("must be a valid IPv6 address"),
            _ => None,
        };
        match (bad, family) {
            (Some(why), _) => wrong.push(FieldError::invalid(at, &json!(text), why)),
            (None, "FQDN") => wrong.extend(format::at_field(&at, text, format::dns_subdomain(text))),
            (None, "IPv4" | "IPv6") => wrong.extend(format::non_special_ip(&at, text)),
            (None, _) => {}
        }
    }
    for key in ["hostname", "nodeName"] {
        let name = text(endpoint, key);
        let rule = if key == "hostname" { format::dns_label } else { format::dns_subdomain };
        if !name.is_empty() {
            wrong.extend(format::at_field(&format!("{field}.{key}"), name, rule(name)));
        }
    }
    wrong
}

fn slice_ports(object: &Value) -> Vec<FieldError> {
    let ports = list(object, "ports");
    if let Some(error) = too_many("ports", ports.len(), PORTS_MAX) {
        return vec![error];
    }
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let field = format!("ports[{i}]");
        let name = text(port, "name");
        if !name.is_empty() {
            wrong.extend(format::at_field(&format!("{field}.name"), name, format::dns_label(name)));
        }
        if !names.insert(name) {
            wrong.push(format::duplicate(&format!("{field}.name"), &json!(name)));
        }
        wrong.extend(format::required_one_of(
            &format!("{field}.protocol"),
            text(port, "protocol"),
            PROTOCOLS,
        ));
        if has(port, "port") {
            let number = int(port, "port");
            let bad = format::port_number(number);
            wrong.extend(
                bad.into_iter().map(|why| FieldError::invalid(format!("{field}.port"), &json!(number), why)),
            );
        }
    }
    wrong
}
