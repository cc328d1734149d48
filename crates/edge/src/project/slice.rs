//! An EndpointSlice (KEP-752).

use super::{Projected, protocol};
use crate::finding::Findings;
use k8s_openapi::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};
use sealane_model::{Endpoint, Protocol, ServiceName};
use std::net::IpAddr;
use std::sync::Arc;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The endpoints of one slice, and the Service they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceView {
    /// What its label names.
    pub service: ServiceName,
    /// In the order of the slice.
    pub endpoints: Vec<Endpoint>,
}

type Ports = Arc<[(Arc<str>, Protocol, Option<u16>)]>;

/// The view of a slice; `None` if it belongs to no Service.
#[must_use]
pub fn project_slice(slice: &EndpointSlice) -> Option<Projected<SliceView>> {
    let meta = &slice.metadata;
    let name = meta.labels.as_ref()?.get(SERVICE_NAME).filter(|name| !name.is_empty())?;
    let service = ServiceName { namespace: meta.namespace.as_deref()?.into(), name: name.as_str().into() };
    let mut findings = Findings::default();
    let v6 = match slice.address_type.as_str() {
        "IPv4" => Some(false),
        "IPv6" => Some(true),
        other => {
            findings.add("addressType", format!("{other:?} is not served; the slice is left out"));
            None
        }
    };
    let endpoints = v6.map_or_else(Vec::new, |v6| {
        let ports = ports(&mut findings, slice);
        let all = slice.endpoints.iter().enumerate();
        all.filter_map(|(i, one)| endpoint(&mut findings, i, one, v6, &ports)).collect()
    });
    Some(Projected { value: SliceView { service, endpoints }, findings: findings.0 })
}

fn ports(findings: &mut Findings, slice: &EndpointSlice) -> Ports {
    let mut ports = Vec::new();
    for (i, port) in slice.ports.iter().flatten().enumerate() {
        let field = format!("ports[{i}]");
        let Some(protocol) = protocol(findings, &field, port.protocol.as_deref()) else { continue };
        let number = match port.port {
            None => None,
            Some(number) => match findings.port(&field, number) {
                Some(number) => Some(number),
                None => continue,
            },
        };
        ports.push((port.name.as_deref().unwrap_or_default().into(), protocol, number));
    }
    ports.into()
}

/// The addresses of one endpoint are fungible, so the first is enough; it must be of the slice's family.
fn endpoint(
    findings: &mut Findings,
    i: usize,
    one: &ApiEndpoint,
    v6: bool,
    ports: &Ports,
) -> Option<Endpoint> {
    let field = format!("endpoints[{i}].addresses[0]");
    let Some(address) = one.addresses.first() else {
        findings.add(field, "there is none; the endpoint is left out");
        return None;
    };
    let ip: IpAddr = findings.parse(&field, address)?;
    if ip.is_ipv6() != v6 {
        findings.add(field, format!("{ip} is not of the slice's addressType; the endpoint is left out"));
        return None;
    }
    let conditions = one.conditions.as_ref();
    let ready = conditions.and_then(|all| all.ready).unwrap_or(true);
    let text = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Arc::from);
    let zones = one.hints.iter().flat_map(|hints| hints.for_zones.iter().flatten());
    Some(Endpoint {
        ip,
        ports: ports.clone(),
        ready,
        serving: conditions.and_then(|all| all.serving).unwrap_or(ready),
        terminating: conditions.and_then(|all| all.terminating).unwrap_or(false),
        node: text(&one.node_name),
        zone: text(&one.zone),
        hostname: text(&one.hostname),
        pod: one
            .target_ref
            .as_ref()
            .filter(|to| to.kind.as_deref() == Some("Pod"))
            .and_then(|to| text(&to.name)),
        zone_hints: zones.map(|zone| Arc::from(zone.name.as_str())).collect(),
    })
}
