//! From a Service and its Pods to slices: staging/src/k8s.io/endpointslice/{reconciler,utils}.go.

use super::CONTROLLER;
use crate::owner;
use crate::pod;
use crate::slices::{
    self, Changes, Family, Group, HEADLESS, MANAGED_BY, SERVICE_NAME, SliceOwner, plan_slices,
};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForZone,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Plans the slices of a Service. A Pod on a node that is not known (any more) is left out.
pub(super) fn plan(
    service: &Service,
    pods: &[Arc<Pod>],
    node: impl Fn(&str) -> Option<Arc<Node>>,
    existing: &[Arc<EndpointSlice>],
) -> Changes {
    let Some(spec) = slices::selecting_spec(service) else {
        return plan_slices(&slice_owner(service, None, pods), existing, Vec::new(), &[], false);
    };
    let families: Vec<Family> = slices::families(spec).into_iter().map(Family::of).collect();
    let mut groups: BTreeMap<(Family, String), Group> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| slices::may_serve(pod, true)) {
        let on = pod::node_name(pod).and_then(&node);
        if on.is_none() && spec.publish_not_ready_addresses != Some(true) {
            continue;
        }
        let ports = ports(spec, pod);
        let spelled = serde_json::to_string(&ports).unwrap_or_default();
        for ipv6 in slices::families(spec) {
            let Some(address) = pod::address(pod, ipv6) else { continue };
            let family = Family::of(ipv6);
            let group = groups.entry((family, spelled.clone()));
            let group =
                group.or_insert_with(|| Group { family, ports: ports.clone(), endpoints: Vec::new() });
            group.endpoints.push(endpoint(service, spec, pod, on.as_deref(), address));
        }
    }
    let groups = groups.into_values().collect();
    plan_slices(&slice_owner(service, Some(spec), pods), existing, groups, &families, true)
}

fn slice_owner(service: &Service, spec: Option<&ServiceSpec>, pods: &[Arc<Pod>]) -> SliceOwner {
    let name = owner::name(&service.metadata).to_owned();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|key, _| ![SERVICE_NAME, MANAGED_BY, HEADLESS].contains(&key.as_str()));
    if spec.is_some_and(slices::is_headless) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    SliceOwner {
        name,
        reference: owner::controller_reference(service),
        labels,
        annotations: BTreeMap::new(),
        trigger_time: slices::trigger_time(service, pods),
    }
}

/// The ports of a Service on a Pod; one whose name the Pod does not know is left out.
fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let ports = spec.ports.iter().flatten().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(slices::target_port(port, pod)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    ports.collect()
}

fn endpoint(
    service: &Service,
    spec: &ServiceSpec,
    pod: &Pod,
    node: Option<&Node>,
    address: &str,
) -> Endpoint {
    let serving = pod::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let zone = node.and_then(slices::zone).map(str::to_owned);
    let near = spec.traffic_distribution.as_deref() == Some("PreferClose");
    let hints = zone
        .clone()
        .filter(|_| near)
        .map(|name| EndpointHints { for_zones: Some(vec![ForZone { name }]), ..EndpointHints::default() });
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            // A Pod that goes away is not ready, unless the Service publishes all of them.
            ready: Some(spec.publish_not_ready_addresses == Some(true) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: slices::hostname(service, pod).map(str::to_owned),
        hints,
        node_name: pod::node_name(pod).map(str::to_owned),
        target_ref: Some(target(pod)),
        zone,
        ..Endpoint::default()
    }
}

/// The reference to a Pod.
pub(crate) fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(patch: Value) -> Service {
        let mut service = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "svc", "labels": {"team": "a"},
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.5", "ipFamilies": ["IPv4"],
                     "ports": [{"port": 80, "targetPort": "web"}]},
        });
        for (key, value) in patch.as_object().unwrap() {
            service["spec"][key] = value.clone();
        }
        serde_json::from_value(service).unwrap()
    }

    fn pod(name: &str, ip: &str, port: i32, patch: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                       "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}]},
        });
        for (pointer, value) in patch.as_object().unwrap() {
            let (parent, leaf) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[leaf] = value.clone();
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn node(name: &str) -> Option<Arc<Node>> {
        let node = json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "z1"}}});
        (name == "node-1").then(|| Arc::new(serde_json::from_value(node).unwrap()))
    }

    fn made(service: &Service, pods: &[Arc<Pod>]) -> Vec<Value> {
        plan(service, pods, node, &[]).create
    }

    #[test]
    fn a_slice_to_the_letter() {
        let slices = made(&service(json!({})), &[pod("a", "10.244.0.2", 8080, json!({}))]);
        let expected = json!([{
            "metadata": {
                "generateName": "web-",
                "labels": {"team": "a", SERVICE_NAME: "web", MANAGED_BY: "endpointslice-controller.k8s.io"},
                "annotations": {slices::TRIGGER_TIME: "2026-01-01T00:01:00Z"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "svc",
                                     "controller": true, "blockOwnerDeletion": true}],
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.244.0.2"],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "node-1", "zone": "z1",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "a"},
            }],
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        }]);
        assert_eq!(json!(slices), expected);
    }

    #[test]
    fn conditions() {
        let not_ready = json!([{"type": "Ready", "status": "False"}]);
        let going = "2026-01-01T00:00:00Z";
        // (Pod, publishNotReadyAddresses) → (ready, serving, terminating), or no endpoint
        let table = [
            (json!({}), false, Some((true, true, false))),
            (json!({"/status/conditions": not_ready}), false, Some((false, false, false))),
            (json!({"/status/conditions": not_ready}), true, Some((true, false, false))),
            (json!({"/metadata/deletionTimestamp": going}), false, Some((false, true, true))),
            (json!({"/metadata/deletionTimestamp": going}), true, Some((true, true, true))),
            (json!({"/status/phase": "Failed"}), true, None),
            (json!({"/status/podIP": "", "/status/podIPs": []}), false, None),
            (json!({"/spec/nodeName": "gone"}), false, None),
        ];
        for (patch, publish, expected) in table {
            let slices = made(
                &service(json!({"publishNotReadyAddresses": publish})),
                &[pod("a", "10.244.0.2", 80, patch.clone())],
            );
            let flag = |name: &str| slices[0]["endpoints"][0]["conditions"][name].as_bool();
            let found =
                flag("ready").zip(flag("serving")).zip(flag("terminating")).map(|((r, s), t)| (r, s, t));
            assert_eq!(found, expected, "{patch} {publish}");
        }
    }

    #[test]
    fn named_ports_are_each_pods_own() {
        let pods = [pod("a", "10.244.0.2", 8080, json!({})), pod("b", "10.244.0.3", 9090, json!({}))];
        let slices = made(&service(json!({})), &pods);
        let mut ports: Vec<_> =
            slices.iter().filter_map(|slice| slice["ports"][0]["port"].as_i64()).collect();
        ports.sort_unstable();
        assert_eq!(ports, [8080, 9090]);
    }

    #[test]
    fn families_hostnames_hints_and_headless() {
        let spec = json!({"clusterIP": "None", "ipFamilies": ["IPv4", "IPv6"], "trafficDistribution": "PreferClose", "ports": null});
        let patch = json!({"/status/podIPs": [{"ip": "10.244.0.2"}, {"ip": "fd00::2"}],
                           "/spec/hostname": "db-0", "/spec/subdomain": "web"});
        let slices = made(&service(spec), &[pod("a", "10.244.0.2", 80, patch)]);
        assert_eq!(slices.iter().map(|s| s["addressType"].clone()).collect::<Vec<_>>(), ["IPv4", "IPv6"]);
        assert_eq!(slices[1]["endpoints"][0]["addresses"], json!(["fd00::2"]));
        assert_eq!(slices[0]["endpoints"][0]["hostname"], "db-0");
        assert_eq!(slices[0]["endpoints"][0]["hints"], json!({"forZones": [{"name": "z1"}]}));
        assert_eq!(slices[0]["metadata"]["labels"][HEADLESS], "");
        assert_eq!(slices[0]["ports"], json!([]));
    }

    #[test]
    fn an_external_name_has_no_slices() {
        let first = made(&service(json!({})), &[pod("a", "10.244.0.2", 80, json!({}))]);
        let slice: Arc<EndpointSlice> = Arc::new(serde_json::from_value(first[0].clone()).unwrap());
        let changes = plan(&service(json!({"type": "ExternalName"})), &[], node, &[slice]);
        assert_eq!((changes.create.len(), changes.update.len(), changes.delete.len()), (0, 0, 1));
    }
}
