//! From subsets to slices.

use super::CONTROLLER;
use crate::owner;
use crate::slices::{
    Changes, Family, Group, MANAGED_BY, SERVICE_NAME, SliceOwner, TRIGGER_TIME, plan_slices,
};
use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Addresses of one subset that are mirrored.
const PER_SUBSET: usize = 1000;

/// Plans the mirror of an Endpoints object; without one, that there is none.
pub(super) fn plan(endpoints: Option<&Endpoints>, existing: &[Arc<EndpointSlice>]) -> Changes {
    let Some(endpoints) = endpoints else {
        let nobody = SliceOwner {
            name: String::new(),
            reference: Value::Null,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            trigger_time: None,
        };
        return plan_slices(&nobody, existing, Vec::new(), &[], false);
    };
    let mut groups: BTreeMap<(Family, String), Group> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(port).collect();
        let spelled = serde_json::to_string(&ports).unwrap_or_default();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(not_ready).take(PER_SUBSET) {
            let family = Family::of(address.ip.contains(':'));
            let group = groups.entry((family, spelled.clone()));
            let group =
                group.or_insert_with(|| Group { family, ports: ports.clone(), endpoints: Vec::new() });
            group.endpoints.push(endpoint(address, ready));
        }
    }
    plan_slices(&slice_owner(endpoints), existing, groups.into_values().collect(), &[], false)
}

fn slice_owner(endpoints: &Endpoints) -> SliceOwner {
    let meta = &endpoints.metadata;
    let mut labels = meta.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), owner::name(meta).to_owned());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations
        .retain(|key, _| key != TRIGGER_TIME && key != "kubectl.kubernetes.io/last-applied-configuration");
    SliceOwner {
        name: owner::name(meta).to_owned(),
        reference: owner::controller_reference(endpoints),
        labels,
        annotations,
        trigger_time: None,
    }
}

fn port(port: &k8s_openapi::api::core::v1::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mirror() {
        let endpoints: Endpoints = serde_json::from_value(json!({
            "metadata": {"name": "legacy", "namespace": "default", "uid": "e", "labels": {"team": "a"}},
            "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}],
                         "ports": [{"port": 5432}]}],
        }))
        .unwrap();
        let made = plan(Some(&endpoints), &[]).create;
        assert_eq!(made.len(), 2);
        assert_eq!(
            made[0]["metadata"]["labels"],
            json!({"team": "a", SERVICE_NAME: "legacy", MANAGED_BY: CONTROLLER})
        );
        assert_eq!(made[0]["metadata"]["ownerReferences"][0]["kind"], "Endpoints");
        assert_eq!(
            made[0]["endpoints"][1],
            json!({"addresses": ["192.0.2.2"], "conditions": {"ready": false}})
        );
        assert_eq!(made[0]["ports"], json!([{"name": "", "port": 5432, "protocol": "TCP"}]));
        assert_eq!(made[1]["addressType"], "IPv6");
        let slices: Vec<Arc<EndpointSlice>> =
            made.iter().map(|slice| Arc::new(serde_json::from_value(slice.clone()).unwrap())).collect();
        let again = plan(Some(&endpoints), &slices);
        assert!(again.create.is_empty() && again.update.is_empty() && again.delete.is_empty());
        assert_eq!(plan(None, &slices).delete.len(), 2);
    }
}
