//! A Service, still without endpoints.

use super::{Projected, cidr, protocol};
use crate::finding::Findings;
use k8s_openapi::api::core::v1::{Service, ServicePort as ApiPort, ServiceSpec, ServiceStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sealane_model::{
    LoadBalancerIngress, ServiceKind, ServiceName, ServicePort, ServiceView, SessionAffinity, TargetPort,
    TrafficPolicy,
};
use std::net::{IpAddr, Ipv4Addr};

const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
/// Three hours, Kubernetes' default.
const AFFINITY_TIMEOUT_S: u32 = 10_800;

/// The view of a Service, without endpoints; `None` if the object has no name.
#[must_use]
pub fn project_service(service: &Service) -> Option<Projected<ServiceView>> {
    let meta = &service.metadata;
    let name = ServiceName {
        namespace: meta.namespace.as_deref()?.into(),
        name: meta.name.as_deref().filter(|name| !name.is_empty())?.into(),
    };
    let nothing = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&nothing);
    let mut findings = Findings::default();
    let kind = kind(&mut findings, spec);
    let external_policy = policy(spec.external_traffic_policy.as_deref());
    let view = ServiceView {
        name,
        kind,
        cluster_ips: cluster_ips(&mut findings, spec, kind),
        headless: spec.cluster_ip.as_deref() == Some("None"),
        external_name: external_name(spec, kind),
        external_ips: addresses(&mut findings, "spec.externalIPs", spec.external_ips.iter().flatten()),
        load_balancer: load_balancer(&mut findings, service.status.as_ref(), kind),
        source_ranges: source_ranges(&mut findings, service, spec),
        ports: ports(&mut findings, spec),
        internal_policy: policy(spec.internal_traffic_policy.as_deref()),
        external_policy,
        health_check_node_port: health_check_node_port(&mut findings, spec, kind, external_policy),
        affinity: affinity(&mut findings, spec),
        publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        traffic_distribution: spec.traffic_distribution.as_deref().map(Into::into),
        proxy_name: meta
            .labels
            .iter()
            .flatten()
            .find(|(key, _)| *key == PROXY_NAME)
            .map(|(_, v)| v.as_str().into()),
        unproxied: meta.labels.iter().flatten().any(|(key, _)| key == HEADLESS),
        endpoints: Vec::new(),
    };
    Some(Projected { value: view, findings: findings.0 })
}

fn kind(findings: &mut Findings, spec: &ServiceSpec) -> ServiceKind {
    match spec.type_.as_deref() {
        None | Some("ClusterIP") => ServiceKind::ClusterIp,
        Some("NodePort") => ServiceKind::NodePort,
        Some("LoadBalancer") => ServiceKind::LoadBalancer,
        Some("ExternalName") => ServiceKind::ExternalName,
        Some(other) => {
            findings.add("spec.type", format!("{other:?} is unknown; it is taken as ClusterIP"));
            ServiceKind::ClusterIp
        }
    }
}

fn cluster_ips(findings: &mut Findings, spec: &ServiceSpec, kind: ServiceKind) -> Vec<IpAddr> {
    if kind == ServiceKind::ExternalName {
        return Vec::new();
    }
    let all = spec.cluster_ips.as_ref().filter(|ips| !ips.is_empty());
    let texts = all.map_or(spec.cluster_ip.as_slice(), |ips| ips.as_slice());
    addresses(findings, "spec.clusterIPs", texts.iter().filter(|ip| !matches!(ip.as_str(), "" | "None")))
}

fn addresses<'a>(
    findings: &mut Findings,
    field: &str,
    texts: impl Iterator<Item = &'a String>,
) -> Vec<IpAddr> {
    texts.enumerate().filter_map(|(i, text)| findings.parse(format!("{field}[{i}]"), text)).collect()
}

fn external_name(spec: &ServiceSpec, kind: ServiceKind) -> Option<std::sync::Arc<str>> {
    let name = spec.external_name.as_deref().filter(|name| !name.is_empty())?;
    (kind == ServiceKind::ExternalName).then(|| name.into())
}

fn load_balancer(
    findings: &mut Findings,
    status: Option<&ServiceStatus>,
    kind: ServiceKind,
) -> Vec<LoadBalancerIngress> {
    if kind != ServiceKind::LoadBalancer {
        return Vec::new();
    }
    let ingress = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let with_ip =
        ingress.into_iter().flatten().enumerate().filter_map(|(i, one)| Some((i, one, one.ip.as_deref()?)));
    with_ip
        .filter_map(|(i, one, ip)| {
            let ip = findings.parse(format!("status.loadBalancer.ingress[{i}].ip"), ip)?;
            Some(LoadBalancerIngress { ip, vip: one.ip_mode.as_deref() != Some("Proxy") })
        })
        .collect()
}

/// A range that cannot be read must not open the Service to everyone: if none is left, no one is let in.
fn source_ranges(findings: &mut Findings, service: &Service, spec: &ServiceSpec) -> Vec<(IpAddr, u8)> {
    let listed = spec.load_balancer_source_ranges.as_ref().filter(|ranges| !ranges.is_empty());
    let annotation = service.metadata.annotations.as_ref().and_then(|all| all.get(SOURCE_RANGES));
    let texts: Vec<&str> = match (listed, annotation) {
        (Some(ranges), _) => ranges.iter().map(String::as_str).collect(),
        (None, Some(text)) => text.split(',').filter(|range| !range.trim().is_empty()).collect(),
        (None, None) => Vec::new(),
    };
    let mut ranges = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match cidr(text) {
            Some(range) => ranges.push(range),
            None => {
                let field = format!("spec.loadBalancerSourceRanges[{i}]");
                findings.add(field, format!("{text:?} is not a range of addresses; it lets no one in"));
            }
        }
    }
    if ranges.is_empty() && !texts.is_empty() {
        ranges.push((Ipv4Addr::UNSPECIFIED.into(), 32));
    }
    ranges
}

fn ports(findings: &mut Findings, spec: &ServiceSpec) -> Vec<ServicePort> {
    spec.ports.iter().flatten().enumerate().filter_map(|(i, port)| service_port(findings, i, port)).collect()
}

fn service_port(findings: &mut Findings, i: usize, port: &ApiPort) -> Option<ServicePort> {
    let field = |name: &str| format!("spec.ports[{i}].{name}");
    let number = findings.port(field("port"), port.port)?;
    let target_port = match &port.target_port {
        Some(IntOrString::Int(0)) | None => TargetPort::Number(number),
        Some(IntOrString::Int(target)) => TargetPort::Number(findings.port(field("targetPort"), *target)?),
        Some(IntOrString::String(name)) => TargetPort::Name(name.as_str().into()),
    };
    Some(ServicePort {
        name: port.name.as_deref().unwrap_or_default().into(),
        protocol: protocol(findings, &field("protocol"), port.protocol.as_deref())?,
        port: number,
        node_port: port.node_port.filter(|n| *n != 0).and_then(|n| findings.port(field("nodePort"), n)),
        target_port,
    })
}

fn policy(text: Option<&str>) -> TrafficPolicy {
    if text == Some("Local") { TrafficPolicy::Local } else { TrafficPolicy::Cluster }
}

fn health_check_node_port(
    findings: &mut Findings,
    spec: &ServiceSpec,
    kind: ServiceKind,
    external: TrafficPolicy,
) -> Option<u16> {
    let port = spec.health_check_node_port.filter(|port| *port != 0)?;
    let used = kind == ServiceKind::LoadBalancer && external == TrafficPolicy::Local;
    used.then(|| findings.port("spec.healthCheckNodePort", port)).flatten()
}

fn affinity(findings: &mut Findings, spec: &ServiceSpec) -> Option<SessionAffinity> {
    match spec.session_affinity.as_deref() {
        None | Some("None") => return None,
        Some("ClientIP") => {}
        Some(other) => {
            findings.add("spec.sessionAffinity", format!("{other:?} is unknown; there is no affinity"));
            return None;
        }
    }
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let wanted = client_ip.and_then(|config| config.timeout_seconds);
    let timeout_s = match wanted.map(u32::try_from) {
        None => AFFINITY_TIMEOUT_S,
        Some(Ok(seconds @ 1..=86_400)) => seconds,
        Some(_) => {
            let message = format!("not from 1 to 86400; it is taken as {AFFINITY_TIMEOUT_S}");
            findings.add("spec.sessionAffinityConfig.clientIP.timeoutSeconds", message);
            AFFINITY_TIMEOUT_S
        }
    };
    Some(SessionAffinity { timeout_s })
}
