//! What EndpointSlices and Endpoints have in common: which Pods belong to a Service and how its ports are theirs.

mod diff;
mod slice;
#[cfg(test)]
mod tests;

pub(crate) use diff::{Changes, Family, Group, MANAGED_BY, SERVICE_NAME, SliceOwner, apply, plan_slices};

use crate::cluster::Cluster;
use crate::objects::Key;
use crate::owner;
use crate::pod;
use k8s_openapi::api::core::v1::{Node, Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// When the change that led to the present endpoints happened.
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Label of what belongs to a Service without a ClusterIP.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// True if this controller keeps the slice.
pub(crate) fn is_managed_by(slice: &EndpointSlice, controller: &str) -> bool {
    label(slice, MANAGED_BY).is_some_and(|by| by == controller)
}

/// The Service that a slice belongs to; its name is empty if the slice names none.
pub(crate) fn service_of(slice: &EndpointSlice) -> Key {
    Key::new(owner::namespace(&slice.metadata), label(slice, SERVICE_NAME).unwrap_or_default())
}

fn label<'a>(slice: &'a EndpointSlice, name: &str) -> Option<&'a str> {
    slice.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// The slices of a Service that a controller keeps and that are not going.
pub(crate) fn existing(cluster: &Cluster, service: &Key, controller: &str) -> Vec<Arc<EndpointSlice>> {
    let mut slices = cluster.endpoint_slices.in_namespace(&service.namespace);
    slices.retain(|slice| {
        is_managed_by(slice, controller)
            && label(slice, SERVICE_NAME) == Some(&service.name)
            && slice.metadata.deletion_timestamp.is_none()
    });
    slices
}

/// The spec of a Service that gets its endpoints from Pods.
pub(crate) fn selecting_spec(service: &Service) -> Option<&ServiceSpec> {
    let spec = service.spec.as_ref()?;
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    (selects && spec.type_.as_deref() != Some("ExternalName")).then_some(spec)
}

/// True if a Service has no ClusterIP.
pub(crate) fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref().is_none_or(|ip| ip.is_empty() || ip == "None")
}

/// The families of a Service's addresses: true for IPv6.
pub(crate) fn families(spec: &ServiceSpec) -> Vec<bool> {
    let families: Vec<bool> = spec.ip_families.iter().flatten().map(|family| family == "IPv6").collect();
    if families.is_empty() {
        vec![spec.cluster_ip.as_deref().is_some_and(|ip| ip.contains(':'))]
    } else {
        families
    }
}

/// A Pod that has, or may still have, traffic: it has an address and its containers have not ended for good.
pub(crate) fn may_serve(pod: &Pod, terminating_too: bool) -> bool {
    let status = pod.status.as_ref();
    let addressed = status.is_some_and(|s| {
        s.pod_ip.as_deref().is_some_and(|ip| !ip.is_empty())
            || s.pod_ips.as_ref().is_some_and(|ips| !ips.is_empty())
    });
    addressed && !pod::is_finished(pod) && (terminating_too || pod.metadata.deletion_timestamp.is_none())
}

/// The number of a Service port on a Pod: a name is looked up among the containers' ports of the same protocol.
pub(crate) fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => Some(port.port),
        Some(IntOrString::String(name)) => {
            let spec = pod::spec(pod)?;
            let sidecars = spec
                .init_containers
                .iter()
                .flatten()
                .filter(|c| c.restart_policy.as_deref() == Some("Always"));
            let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
            ports
                .into_iter()
                .find(|p| {
                    p.name.as_deref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|p| p.container_port)
        }
    }
}

/// `hostname` of the Pod, if it is a name in this Service's zone.
pub(crate) fn hostname<'a>(service: &Service, pod: &'a Pod) -> Option<&'a str> {
    let spec = pod::spec(pod)?;
    let here = spec.subdomain.as_deref() == service.metadata.name.as_deref()
        && pod.metadata.namespace == service.metadata.namespace;
    spec.hostname.as_deref().filter(|hostname| here && !hostname.is_empty())
}

/// The zone of a node.
pub(crate) fn zone(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").map(String::as_str)
}

/// The moment of the latest change among a Service and its Pods, as far as they tell.
pub(crate) fn trigger_time(service: &Service, pods: &[Arc<Pod>]) -> Option<Timestamp> {
    let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
    pods.iter().filter_map(|pod| pod::ready_transition(pod)).chain(created).max()
}

/// The Services of its namespace that select a Pod.
pub(crate) fn selecting(services: &[Arc<Service>], pod: &Pod) -> Vec<Key> {
    let selects = |service: &&Arc<Service>| {
        let selector = selecting_spec(service).and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|s| crate::selector::equality_matches(s, pod.metadata.labels.as_ref()))
    };
    services.iter().filter(selects).map(|service| Key::of(&service.metadata)).collect()
}

/// The Pods that a Service selects.
pub(crate) fn selected(pods: Vec<Arc<Pod>>, service: &Service) -> Vec<Arc<Pod>> {
    let Some(selector) = selecting_spec(service).and_then(|spec| spec.selector.as_ref()) else {
        return Vec::new();
    };
    pods.into_iter()
        .filter(|pod| crate::selector::equality_matches(selector, pod.metadata.labels.as_ref()))
        .collect()
}

/// True if a change of a Pod can change endpoints: its labels, address, readiness, node or life.
pub(crate) fn matters(old: &Pod, new: &Pod) -> bool {
    let facts = |pod: &Pod| {
        let spec = pod::spec(pod);
        (
            pod.metadata.labels.clone(),
            pod.metadata.deletion_timestamp.is_some(),
            pod.status.as_ref().map(|status| (status.pod_ip.clone(), status.pod_ips.clone())),
            (pod::is_ready(pod), pod::is_finished(pod)),
            spec.map(|spec| (spec.node_name.clone(), spec.hostname.clone(), spec.subdomain.clone())),
        )
    };
    owner::uid(&old.metadata) != owner::uid(&new.metadata) || facts(old) != facts(new)
}
