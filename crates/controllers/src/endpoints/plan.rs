//! From a Service and its Pods to subsets: pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go.

use super::{CONTROLLER, MANAGED_BY};
use crate::endpointslice::plan::target;
use crate::slices::{self, HEADLESS};
use crate::{patch, pod, recorder};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service, ServiceSpec,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one Endpoints object.
const CAPACITY: usize = 1000;

/// The object to create if there is none, else the merge patch that makes it right, if it is not.
pub(super) fn plan(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Option<Value> {
    let spec = slices::selecting_spec(service)?;
    let mut subsets = subsets(service, spec, pods);
    let truncated = truncate(&mut subsets);
    let labels = labels(service, spec);
    let mut annotations =
        current.and_then(|current| current.metadata.annotations.clone()).unwrap_or_default();
    let former_time = annotations.remove(slices::TRIGGER_TIME);
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    }
    let time = slices::trigger_time(service, pods).map(recorder::seconds);
    let Some(current) = current else {
        annotations.extend(time.map(|time| (slices::TRIGGER_TIME.to_owned(), time)));
        let metadata = json!({"name": service.metadata.name, "labels": labels, "annotations": annotations});
        return Some(json!({"metadata": metadata, "subsets": subsets}));
    };
    let meta = &current.metadata;
    let former_capacity = meta.annotations.as_ref().and_then(|former| former.get(OVER_CAPACITY));
    let same = current.subsets.clone().unwrap_or_default() == subsets
        && meta.labels.clone().unwrap_or_default() == labels
        && former_capacity == annotations.get(OVER_CAPACITY);
    if same {
        return None;
    }
    annotations.extend(time.or(former_time).map(|time| (slices::TRIGGER_TIME.to_owned(), time)));
    let mut change =
        json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "subsets": subsets});
    for (field, old, new) in
        [("labels", &meta.labels, labels), ("annotations", &meta.annotations, annotations)]
    {
        if let Some(difference) = patch::difference(&json!(old.clone().unwrap_or_default()), &json!(new)) {
            change["metadata"][field] = difference;
        }
    }
    Some(change)
}

fn labels(service: &Service, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if slices::is_headless(spec) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    labels
}

/// Addresses with the same ports make a subset. A Pod that goes away is in none, unless the Service publishes all.
fn subsets(service: &Service, spec: &ServiceSpec, pods: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let publish = spec.publish_not_ready_addresses == Some(true);
    let ipv6 = slices::families(spec).first().copied().unwrap_or(false);
    let mut by_ports: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for pod in pods.iter().filter(|pod| slices::may_serve(pod, publish)) {
        let Some(ip) = pod::address(pod, ipv6) else { continue };
        if !seen.insert((ip.to_owned(), pod.metadata.uid.clone())) {
            continue;
        }
        let mut ports: Vec<EndpointPort> =
            spec.ports.iter().flatten().filter_map(|port| port_of(port, pod)).collect();
        if ports.is_empty() && spec.ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            continue;
        }
        ports.sort_by(|a, b| (&a.name, &a.protocol, a.port).cmp(&(&b.name, &b.protocol, b.port)));
        let spelled = serde_json::to_string(&ports).unwrap_or_default();
        let subset = by_ports.entry(spelled).or_insert_with(|| EndpointSubset {
            ports: Some(ports).filter(|ports| !ports.is_empty()),
            ..EndpointSubset::default()
        });
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: slices::hostname(service, pod).map(str::to_owned),
            node_name: pod::node_name(pod).map(str::to_owned),
            target_ref: Some(target(pod)),
        };
        let ready = publish || pod::is_ready(pod);
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    let mut subsets: Vec<EndpointSubset> = by_ports.into_values().collect();
    for list in subsets.iter_mut().flat_map(|subset| [&mut subset.addresses, &mut subset.not_ready_addresses])
    {
        list.iter_mut().for_each(|list| list.sort_by_key(order));
    }
    subsets
}

/// By number, so that .10 comes after .9; the order is ours to choose.
fn order(address: &EndpointAddress) -> (Option<std::net::IpAddr>, Option<String>) {
    (address.ip.parse().ok(), address.target_ref.as_ref().and_then(|target| target.uid.clone()))
}

fn port_of(port: &k8s_openapi::api::core::v1::ServicePort, pod: &Pod) -> Option<EndpointPort> {
    Some(EndpointPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: slices::target_port(port, pod)?,
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    })
}

/// Cuts down to the capacity, addresses that are not ready first. True if anything was cut.
fn truncate(subsets: &mut Vec<EndpointSubset>) -> bool {
    let mut left = CAPACITY;
    let mut cut = false;
    for ready in [true, false] {
        for subset in subsets.iter_mut() {
            let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
            let Some(addresses) = list else { continue };
            cut |= addresses.len() > left;
            addresses.truncate(left);
            left -= addresses.len();
            if addresses.is_empty() {
                *list = None;
            }
        }
    }
    subsets.retain(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Service {
        let mut service = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "svc", "labels": {"team": "a"},
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.5", "ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": 8080}]},
        });
        for (key, value) in spec.as_object().unwrap() {
            service["spec"][key] = value.clone();
        }
        serde_json::from_value(service).unwrap()
    }

    fn pod(index: usize, ready: bool, going: bool) -> Arc<Pod> {
        let ip = format!("10.244.{}.{}", index / 250, index % 250);
        let name = format!("p{index}");
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running", "podIP": ip,
                       "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" },
                                       "lastTransitionTime": "2026-01-01T00:01:00Z"}]},
        });
        if going {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:02:00Z");
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn an_object_to_the_letter_and_nothing_twice() {
        let pods = [pod(2, true, false), pod(10, true, false), pod(3, false, false), pod(4, true, true)];
        let made = plan(&service(json!({})), &pods, None).unwrap();
        let address = |i: usize| {
            let name = format!("p{i}");
            json!({"ip": format!("10.244.0.{i}"), "nodeName": "node-1",
                   "targetRef": {"kind": "Pod", "namespace": "default", "name": name, "uid": name}})
        };
        let expected = json!({
            "metadata": {"name": "web", "labels": {"team": "a", MANAGED_BY: CONTROLLER},
                         "annotations": {slices::TRIGGER_TIME: "2026-01-01T00:01:00Z"}},
            "subsets": [{"addresses": [address(2), address(10)], "notReadyAddresses": [address(3)],
                         "ports": [{"port": 8080, "protocol": "TCP"}]}],
        });
        assert_eq!(made, expected);
        let current: Endpoints = serde_json::from_value(made).unwrap();
        assert_eq!(plan(&service(json!({})), &pods, Some(&current)), None);
        let fewer = plan(&service(json!({})), &pods[..1], Some(&current)).unwrap();
        assert_eq!(fewer["subsets"][0]["addresses"], json!([address(2)]));
        assert!(fewer["metadata"].get("labels").is_none());
        let none = plan(&service(json!({})), &[], Some(&current)).unwrap();
        assert_eq!(none["subsets"], json!([]));
    }

    #[test]
    fn published_and_headless() {
        let pods = [pod(2, false, false), pod(3, true, true)];
        let made = plan(
            &service(json!({"publishNotReadyAddresses": true, "clusterIP": "None", "ports": null})),
            &pods,
            None,
        );
        let made = made.unwrap();
        assert_eq!(made["subsets"][0]["addresses"].as_array().map(Vec::len), Some(2));
        assert!(made["subsets"][0].get("ports").is_none());
        assert_eq!(made["metadata"]["labels"][HEADLESS], "");
    }

    #[test]
    fn over_capacity() {
        let pods: Vec<_> = (0..1200).map(|i| pod(i, i % 2 == 0 || i > 700, false)).collect();
        let made = plan(&service(json!({})), &pods, None).unwrap();
        let count = |list: &str| made["subsets"][0][list].as_array().map_or(0, Vec::len);
        assert_eq!((count("addresses"), count("notReadyAddresses")), (850, 150));
        assert_eq!(made["metadata"]["annotations"][OVER_CAPACITY], "truncated");
    }
}
