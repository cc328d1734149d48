//! All that is wrong with a Service, in the order and words of `ValidateService`.

use super::validate_addresses::validate_addresses;
use super::view::ServiceView;
use crate::status::{FieldError, FieldErrorKind};
use crate::strategy::access::{at, has, int, list, pairs, strings, text};
use crate::strategy::format;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// `ValidateService`.
pub(super) fn validate(service: &Value) -> Vec<FieldError> {
    let view = ServiceView::new(service);
    let mut wrong = topology_annotations(service);
    wrong.extend(by_type(&view));
    wrong.extend(each_port(&view));
    wrong.extend(format::labels("spec.selector", at(view.spec, &["selector"])));
    wrong.extend(affinity(&view));
    wrong.extend(validate_addresses(&view));
    for (i, ip) in strings(view.spec, "externalIPs").iter().enumerate() {
        let field = format!("spec.externalIPs[{i}]");
        let bad = format::ip(&field, ip);
        wrong.extend(if bad.is_empty() { format::non_special_ip(&field, ip) } else { bad });
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    wrong.extend(format::required_one_of("spec.type", view.kind(), &types));
    wrong.extend(node_ports(&view));
    wrong.extend(duplicate_ports(&view));
    wrong.extend(source_ranges(&view));
    wrong.extend(balancer_fields(&view));
    wrong.extend(traffic_policies(&view));
    wrong
}

fn topology_annotations(service: &Value) -> Vec<FieldError> {
    let annotations = at(service, &["metadata", "annotations"]);
    let (mode, hints) = (text(annotations, MODE), text(annotations, HINTS));
    if !has(annotations, MODE) || !has(annotations, HINTS) || mode == hints {
        return Vec::new();
    }
    let why = format!("must match annotations[{HINTS}] when both are specified");
    vec![FieldError::invalid(format!("metadata.annotations[{MODE}]"), &json!(mode), why)]
}

fn by_type(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let kind = view.kind();
    if view.ports().is_empty() && !view.is_headless() && kind != "ExternalName" {
        wrong.push(FieldError::required("spec.ports", ""));
    }
    if view.is_headless() && view.needs_node_port() {
        let why = format!("may not be set to 'None' for {kind} services");
        wrong.push(FieldError::invalid("spec.clusterIPs[0]", &json!("None"), why));
    }
    if kind == "ExternalName" {
        let why = "may not be set for ExternalName services";
        let present = [
            ("clusterIPs", !view.cluster_ips().is_empty()),
            ("ipFamilies", !view.families().is_empty()),
            ("ipFamilyPolicy", has(view.spec, "ipFamilyPolicy")),
        ];
        let forbidden = present.iter().filter(|(_, is)| *is);
        wrong.extend(forbidden.map(|(key, _)| FieldError::forbidden(format!("spec.{key}"), why)));
        let name = text(view.spec, "externalName");
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            wrong.push(FieldError::required("spec.externalName", ""));
        } else {
            wrong.extend(format::at_field("spec.externalName", name, format::dns_subdomain(name)));
        }
    }
    wrong
}

fn each_port(view: &ServiceView<'_>) -> Vec<FieldError> {
    let ports = view.ports();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{i}]");
        let name = text(port, "name");
        if name.is_empty() {
            if ports.len() > 1 {
                wrong.push(FieldError::required(format!("{field}.name"), ""));
            }
        } else {
            wrong.extend(format::at_field(&format!("{field}.name"), name, format::dns_label(name)));
            if !names.insert(name) {
                wrong.push(format::duplicate(&format!("{field}.name"), &json!(name)));
            }
        }
        wrong.extend(one_port(&field, port));
    }
    wrong
}

fn one_port(field: &str, port: &Value) -> Vec<FieldError> {
    let number = int(port, "port");
    let mut wrong: Vec<FieldError> = format::port_number(number)
        .into_iter()
        .map(|why| FieldError::invalid(format!("{field}.port"), &json!(number), why))
        .collect();
    let protocol = text(port, "protocol");
    wrong.extend(format::required_one_of(&format!("{field}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
    wrong.extend(format::port_or_name(&format!("{field}.targetPort"), at(port, &["targetPort"])));
    if has(port, "appProtocol") {
        let name = text(port, "appProtocol");
        wrong.extend(format::at_field(&format!("{field}.appProtocol"), name, format::qualified_name(name)));
    }
    wrong
}

fn affinity(view: &ServiceView<'_>) -> Vec<FieldError> {
    let affinity = text(view.spec, "sessionAffinity");
    let mut wrong: Vec<FieldError> =
        format::required_one_of("spec.sessionAffinity", affinity, &["ClientIP", "None"])
            .into_iter()
            .collect();
    let config = at(view.spec, &["sessionAffinityConfig"]);
    if affinity == "None" && !config.is_null() {
        let why = "must not be set when session affinity is None";
        wrong.push(FieldError::forbidden("spec.sessionAffinityConfig", why));
    }
    if affinity == "ClientIP" {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        match at(config, &["clientIP", "timeoutSeconds"]).as_i64() {
            None => wrong.push(FieldError::required(
                "spec.sessionAffinityConfig",
                "when session affinity type is ClientIP",
            )),
            Some(seconds) if !(1..=86_400).contains(&seconds) => {
                let why = "must be greater than 0 and less than 86400";
                wrong.push(FieldError::invalid(field, &json!(seconds), why));
            }
            Some(_) => {}
        }
    }
    wrong
}

fn node_ports(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let numbered = || view.ports().iter().enumerate().filter(|(_, p)| int(p, "nodePort") != 0);
    if view.kind() == "ClusterIP" {
        let why = "may not be used when `type` is 'ClusterIP'";
        wrong
            .extend(numbered().map(|(i, _)| FieldError::forbidden(format!("spec.ports[{i}].nodePort"), why)));
    }
    let mut seen = BTreeSet::new();
    for (i, port) in numbered() {
        let number = int(port, "nodePort");
        if !seen.insert((text(port, "protocol"), number)) {
            wrong.push(format::duplicate(&format!("spec.ports[{i}].nodePort"), &json!(number)));
        }
    }
    wrong
}

/// (port, protocol) is unique; the value shown is Kubernetes' internal struct.
fn duplicate_ports(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (i, port) in view.ports().iter().enumerate() {
        let (protocol, number) = (text(port, "protocol"), int(port, "port"));
        if !seen.insert((protocol, number)) {
            let value = format!(
                "{{\"Name\":\"\",\"Protocol\":\"{protocol}\",\"AppProtocol\":null,\"Port\":{number},\
                 \"TargetPort\":0,\"NodePort\":0}}"
            );
            let field = format!("spec.ports[{i}]");
            wrong.push(FieldError { field, kind: FieldErrorKind::Duplicate, value, detail: String::new() });
        }
    }
    wrong
}

fn source_ranges(view: &ServiceView<'_>) -> Vec<FieldError> {
    let ranges = strings(view.spec, "loadBalancerSourceRanges");
    let annotations = at(view.object, &["metadata"]);
    let (field, cidrs): (String, Vec<(String, &str)>) = if !ranges.is_empty() {
        let field = "spec.LoadBalancerSourceRanges".to_owned();
        let each = ranges.iter().enumerate().map(|(i, r)| (format!("{field}[{i}]"), r.trim())).collect();
        (field, each)
    } else if let Some((_, value)) = pairs(annotations, "annotations").find(|(k, _)| *k == SOURCE_RANGES) {
        let field = format!("metadata.annotations[{SOURCE_RANGES}]");
        let value = value.as_str().unwrap_or_default().trim();
        let parts = value.split(',').filter(|_| !value.is_empty());
        let each = parts.map(|r| (field.clone(), r.trim())).collect();
        (field, each)
    } else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    if !view.is_load_balancer() {
        wrong.push(FieldError::forbidden(field, ONLY_BALANCED));
    }
    wrong.extend(cidrs.iter().flat_map(|(field, cidr)| format::cidr(field, cidr)));
    wrong
}

fn balancer_fields(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if has(view.spec, "allocateLoadBalancerNodePorts") && !view.is_load_balancer() {
        wrong.push(FieldError::forbidden("spec.allocateLoadBalancerNodePorts", ONLY_BALANCED));
    }
    wrong.extend(class_format(view));
    wrong
}

/// The format of `loadBalancerClass`, and that only a LoadBalancer has one.
pub(super) fn class_format(view: &ServiceView<'_>) -> Vec<FieldError> {
    let field = "spec.loadBalancerClass";
    if !has(view.spec, "loadBalancerClass") {
        return Vec::new();
    }
    if !view.is_load_balancer() {
        return vec![FieldError::forbidden(field, ONLY_BALANCED)];
    }
    let class = text(view.spec, "loadBalancerClass");
    format::at_field(field, class, format::qualified_name(class))
}

fn traffic_policies(view: &ServiceView<'_>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let policies = ["Cluster", "Local"];
    let (field, external) = ("spec.externalTrafficPolicy", text(view.spec, "externalTrafficPolicy"));
    if view.is_external() {
        wrong.extend(format::required_one_of(field, external, &policies));
    } else if !external.is_empty() {
        let why = "may only be set for externally-accessible services";
        wrong.push(FieldError::invalid(field, &json!(external), why));
    }
    let port = view.health_check_port();
    let field = "spec.healthCheckNodePort";
    if view.needs_health_check() {
        let bad = if port == 0 { Vec::new() } else { format::port_number(port) };
        wrong.extend(bad.into_iter().map(|why| FieldError::invalid(field, &json!(port), why)));
    } else if port != 0 {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        wrong.push(FieldError::invalid(field, &json!(port), why));
    }
    if has(view.spec, "internalTrafficPolicy") {
        let internal = text(view.spec, "internalTrafficPolicy");
        wrong.extend(format::one_of("spec.internalTrafficPolicy", internal, &policies));
    }
    if has(view.spec, "trafficDistribution") {
        let distribution = text(view.spec, "trafficDistribution");
        wrong.extend(format::one_of("spec.trafficDistribution", distribution, &["PreferClose"]));
    }
    wrong
}

/// `ValidateServiceStatusUpdate`.
pub(super) fn validate_status(service: &Value) -> Vec<FieldError> {
    let field = "status.loadBalancer.ingress";
    let ingresses = list(at(service, &["status", "loadBalancer"]), "ingress");
    if !ServiceView::new(service).is_load_balancer() && !ingresses.is_empty() {
        return vec![FieldError::forbidden(field, "may only be used when `spec.type` is \"LoadBalancer\"")];
    }
    ingresses
        .iter()
        .enumerate()
        .flat_map(|(i, ingress)| one_ingress(&format!("{field}[{i}]"), ingress))
        .collect()
}

fn one_ingress(field: &str, ingress: &Value) -> Vec<FieldError> {
    let (ip, name) = (text(ingress, "ip"), text(ingress, "hostname"));
    let mode = ingress.get("ipMode").and_then(Value::as_str);
    let mode_field = format!("{field}.ipMode");
    let mut wrong = if ip.is_empty() { Vec::new() } else { format::ip(&format!("{field}.ip"), ip) };
    match mode {
        None if !ip.is_empty() => {
            wrong.push(FieldError::required(mode_field, "must be specified when `ip` is set"))
        }
        Some(_) if ip.is_empty() => {
            wrong.push(FieldError::forbidden(mode_field, "may not be specified when `ip` is not set"));
        }
        Some(mode) => wrong.extend(format::one_of(&mode_field, mode, &["Proxy", "VIP"])),
        None => {}
    }
    if !name.is_empty() {
        let field = format!("{field}.hostname");
        wrong.extend(format::at_field(&field, name, format::dns_subdomain(name)));
        if name.parse::<std::net::IpAddr>().is_ok() {
            wrong.push(FieldError::invalid(&field, &json!(name), "must be a DNS name, not an IP address"));
        }
    }
    wrong
}
