//! The smallest set of writes that turns the slices that are there into those that are to be.

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::{owner, patch, recorder};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Label that names the Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that names the controller.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Endpoints in one slice.
const PER_SLICE: usize = 100;

/// `addressType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
}

impl Family {
    pub(crate) fn of(ipv6: bool) -> Self {
        if ipv6 { Self::V6 } else { Self::V4 }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Endpoints with the same ports: they share slices.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) family: Family,
    pub(crate) ports: Vec<EndpointPort>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// What the slices of an owner have in common.
#[derive(Debug, Clone)]
pub(crate) struct SliceOwner {
    /// Prefix of their names.
    pub(crate) name: String,
    /// The owner reference.
    pub(crate) reference: Value,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// For slices that change.
    pub(crate) trigger_time: Option<Timestamp>,
}

/// Writes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) create: Vec<Value>,
    /// Merge patches.
    pub(crate) update: Vec<(Arc<EndpointSlice>, Value)>,
    pub(crate) delete: Vec<Arc<EndpointSlice>>,
}

/// A slice as it is and as it will be.
struct Draft {
    current: Option<Arc<EndpointSlice>>,
    family: Family,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
}

/// Plans the slices of an owner. With `placeholder` a family without endpoints keeps one empty slice.
pub(crate) fn plan_slices(
    owner: &SliceOwner,
    existing: &[Arc<EndpointSlice>],
    groups: Vec<Group>,
    families: &[Family],
    placeholder: bool,
) -> Changes {
    let mut changes = Changes::default();
    let mut free: Vec<Arc<EndpointSlice>> = existing.to_vec();
    free.sort_by(|a, b| owner::name(&a.metadata).cmp(owner::name(&b.metadata)));
    let mut drafts = Vec::new();
    for group in groups.into_iter().filter(|group| !group.endpoints.is_empty()) {
        let fits = |slice: &EndpointSlice| {
            slice.address_type == group.family.name() && same_ports(slice.ports.as_deref().unwrap_or_default(), &group.ports)
        };
        let (mine, others) = free.into_iter().partition(|slice| fits(slice));
        free = others;
        drafts.extend(fill(mine, group, &mut changes.delete));
    }
    for family in families.iter().filter(|_| placeholder) {
        if !drafts.iter().any(|draft: &Draft| draft.family == *family) {
            // One that is to go may as well stay.
            let kept = free.iter().chain(&changes.delete).find(|slice| slice.address_type == family.name()).cloned();
            let is_kept = |slice: &Arc<EndpointSlice>| kept.as_ref().is_some_and(|k| Arc::ptr_eq(k, slice));
            free.retain(|slice| !is_kept(slice));
            changes.delete.retain(|slice| !is_kept(slice));
            drafts.push(Draft { current: kept, family: *family, ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    changes.delete.extend(free);
    for draft in drafts {
        match &draft.current {
            None => changes.create.push(new_slice(owner, &draft)),
            Some(current) => changes.update.extend(update(owner, current, &draft).map(|patch| (current.clone(), patch))),
        }
    }
    changes
}

/// Puts a group's endpoints into its slices: each stays where it is, new ones go where there is room, the fullest
/// slice that will be written anyway first.
fn fill(slices: Vec<Arc<EndpointSlice>>, group: Group, delete: &mut Vec<Arc<EndpointSlice>>) -> Vec<Draft> {
    let mut wanted: HashMap<String, Endpoint> = group.endpoints.iter().map(|e| (identity(e), e.clone())).collect();
    let mut drafts: Vec<(bool, Draft)> = Vec::new();
    for slice in slices {
        let mut endpoints = Vec::new();
        for old in &slice.endpoints {
            endpoints.extend(wanted.remove(&identity(old)));
        }
        let changed = endpoints != slice.endpoints;
        let draft = Draft { family: group.family, ports: slice.ports.clone().unwrap_or_default(), endpoints, current: Some(slice) };
        drafts.push((changed, draft));
    }
    let mut seen = HashSet::new();
    let mut rest: Vec<Endpoint> = group
        .endpoints
        .into_iter()
        .filter(|e| wanted.contains_key(&identity(e)) && seen.insert(identity(e)))
        .collect();
    drafts.sort_by_key(|(changed, draft)| (!*changed, std::cmp::Reverse(draft.endpoints.len())));
    for (changed, draft) in &mut drafts {
        let room = PER_SLICE.saturating_sub(draft.endpoints.len());
        // An untouched slice is only touched if it takes all that is left.
        if !draft.endpoints.is_empty() && (*changed || room >= rest.len()) {
            draft.endpoints.extend(rest.drain(..room.min(rest.len())));
        }
    }
    for (_, draft) in drafts.iter_mut().filter(|(_, draft)| draft.endpoints.is_empty()) {
        draft.endpoints.extend(rest.drain(..PER_SLICE.min(rest.len())));
    }
    let (kept, empty): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|(_, draft)| !draft.endpoints.is_empty());
    delete.extend(empty.into_iter().filter_map(|(_, draft)| draft.current));
    let mut drafts: Vec<Draft> = kept.into_iter().map(|(_, draft)| draft).collect();
    for chunk in rest.chunks(PER_SLICE) {
        let (family, ports) = (group.family, group.ports.clone());
        drafts.push(Draft { current: None, family, ports, endpoints: chunk.to_vec() });
    }
    drafts
}

/// What makes an endpoint the same one with other conditions: its address and its Pod.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
    format!("{}|{}", endpoint.addresses.join(","), uid.unwrap_or_default())
}

fn same_ports(a: &[EndpointPort], b: &[EndpointPort]) -> bool {
    let mut sorted = [a.to_vec(), b.to_vec()];
    for ports in &mut sorted {
        for port in ports.iter_mut() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        ports.sort_by(|x, y| (&x.name, &x.protocol, x.port).cmp(&(&y.name, &y.protocol, y.port)));
    }
    sorted[0] == sorted[1]
}

/// Ports as they are stored: `name` and `protocol` always there.
fn ports_json(ports: &[EndpointPort]) -> Value {
    ports
        .iter()
        .map(|port| {
            let mut json = json!(port);
            json["name"] = json!(port.name.as_deref().unwrap_or_default());
            json["protocol"] = json!(port.protocol.as_deref().unwrap_or("TCP"));
            json
        })
        .collect()
}

fn annotations(owner: &SliceOwner) -> BTreeMap<String, String> {
    let mut annotations = owner.annotations.clone();
    if let Some(time) = owner.trigger_time {
        annotations.insert(super::TRIGGER_TIME.to_owned(), recorder::seconds(time));
    }
    annotations
}

fn new_slice(owner: &SliceOwner, draft: &Draft) -> Value {
    json!({
        "metadata": {
            "generateName": format!("{}-", owner.name),
            "labels": owner.labels,
            "annotations": annotations(owner),
            "ownerReferences": [owner.reference],
        },
        "addressType": draft.family.name(),
        "endpoints": draft.endpoints,
        "ports": ports_json(&draft.ports),
    })
}

fn update(owner: &SliceOwner, current: &EndpointSlice, draft: &Draft) -> Option<Value> {
    let meta = &current.metadata;
    let mut change = json!({});
    if current.endpoints != draft.endpoints {
        change["endpoints"] = json!(draft.endpoints);
    }
    if !same_ports(current.ports.as_deref().unwrap_or_default(), &draft.ports) {
        change["ports"] = ports_json(&draft.ports);
    }
    let labels = json!(meta.labels.clone().unwrap_or_default());
    if let Some(labels) = patch::difference(&labels, &json!(owner.labels)) {
        change["metadata"]["labels"] = labels;
    }
    let mut plain = meta.annotations.clone().unwrap_or_default();
    plain.remove(super::TRIGGER_TIME);
    let changed = change != json!({}) || plain != owner.annotations;
    if !changed {
        return None;
    }
    let before = json!(meta.annotations.clone().unwrap_or_default());
    if let Some(annotations) = patch::difference(&before, &json!(annotations(owner))) {
        change["metadata"]["annotations"] = annotations;
    }
    change["metadata"]["uid"] = json!(meta.uid);
    change["metadata"]["resourceVersion"] = json!(meta.resource_version);
    Some(change)
}

/// Carries changes out: what is new first, so that no endpoint is missing in between.
pub(crate) async fn apply(cluster: &Cluster, namespace: &str, changes: Changes) -> Result<(), Error> {
    let slices = &cluster.endpoint_slices;
    for slice in changes.create {
        match slices.create(namespace, slice).await {
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            other => other?,
        };
    }
    for (slice, patch) in changes.update {
        slices.patch(&Key::of(&slice.metadata), Write::Merge, &patch).await?;
    }
    for slice in changes.delete {
        let preconditions = Some(Preconditions { uid: slice.metadata.uid.clone(), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        slices.delete(&Key::of(&slice.metadata), &parameters).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> SliceOwner {
        SliceOwner {
            name: "web".into(),
            reference: json!({"uid": "svc"}),
            labels: [(SERVICE_NAME.to_owned(), "web".to_owned())].into(),
            annotations: BTreeMap::new(),
            trigger_time: None,
        }
    }

    fn port(number: i32) -> Vec<EndpointPort> {
        vec![EndpointPort { name: Some(String::new()), port: Some(number), protocol: Some("TCP".into()), app_protocol: None }]
    }

    fn endpoint(index: usize, ready: bool) -> Endpoint {
        serde_json::from_value(json!({
            "addresses": [format!("10.244.{}.{}", index / 250, index % 250)],
            "conditions": {"ready": ready},
        }))
        .unwrap()
    }

    fn group(number: i32, indexes: impl IntoIterator<Item = usize>) -> Group {
        let endpoints = indexes.into_iter().map(|index| endpoint(index, true)).collect();
        Group { family: Family::V4, ports: port(number), endpoints }
    }

    /// Writes the changes down as the API would.
    fn applied(existing: &[Arc<EndpointSlice>], changes: &Changes) -> Vec<Arc<EndpointSlice>> {
        let gone: Vec<_> = changes.delete.iter().map(|s| s.metadata.name.clone()).collect();
        let mut all: Vec<Value> =
            existing.iter().filter(|s| !gone.contains(&s.metadata.name)).map(|s| json!(s.as_ref())).collect();
        for (slice, patch) in &changes.update {
            let found = all.iter_mut().find(|s| s["metadata"]["name"] == json!(slice.metadata.name)).unwrap();
            for field in ["endpoints", "ports"] {
                if !patch[field].is_null() {
                    found[field] = patch[field].clone();
                }
            }
        }
        for (index, slice) in changes.create.iter().enumerate() {
            let mut slice = slice.clone();
            slice["metadata"]["name"] = json!(format!("web-{}{index}", all.len()));
            all.push(slice);
        }
        all.into_iter().map(|slice| Arc::new(serde_json::from_value(slice).unwrap())).collect()
    }

    fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
        slices.iter().map(|slice| slice.endpoints.len()).collect()
    }

    fn writes(changes: &Changes) -> (usize, usize, usize) {
        (changes.create.len(), changes.update.len(), changes.delete.len())
    }

    fn plan(existing: &[Arc<EndpointSlice>], groups: Vec<Group>) -> Changes {
        plan_slices(&owner(), existing, groups, &[Family::V4], true)
    }

    #[test]
    fn slices_change_as_little_as_possible() {
        let first = plan(&[], vec![group(80, 0..250)]);
        assert_eq!(writes(&first), (3, 0, 0));
        assert_eq!(first.create[0]["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
        let slices = applied(&[], &first);
        assert_eq!(sizes(&slices), [100, 100, 50]);
        assert_eq!(writes(&plan(&slices, vec![group(80, 0..250)])), (0, 0, 0), "twice is once");
        let more = plan(&slices, vec![group(80, 0..260)]);
        assert_eq!(writes(&more), (0, 1, 0), "new ones go into the slice with room");
        let fewer = plan(&slices, vec![group(80, (0..250).filter(|i| *i != 7))]);
        assert_eq!(writes(&fewer), (0, 1, 0));
        let swapped = plan(&slices, vec![group(80, (1..250).chain([300]))]);
        assert_eq!(writes(&swapped), (0, 1, 0), "a replacement goes where one left");
        let gone = plan(&slices, vec![group(80, 0..100)]);
        assert_eq!(writes(&gone), (0, 0, 2));
        let mut unready = group(80, 0..250);
        unready.endpoints[120] = endpoint(120, false);
        assert_eq!(writes(&plan(&slices, vec![unready])), (0, 1, 0));
    }

    #[test]
    fn groups_of_ports_have_slices_of_their_own() {
        let slices = applied(&[], &plan(&[], vec![group(80, 0..3), group(81, 3..5)]));
        assert_eq!(sizes(&slices), [3, 2]);
        let moved = plan(&slices, vec![group(80, 0..5)]);
        assert_eq!(writes(&moved), (0, 1, 1));
        let applied = applied(&slices, &moved);
        assert_eq!(sizes(&applied), [5]);
    }

    #[test]
    fn a_service_without_endpoints_keeps_an_empty_slice() {
        let empty = applied(&[], &plan(&[], vec![]));
        assert_eq!(sizes(&empty), [0]);
        assert_eq!(writes(&plan(&empty, vec![])), (0, 0, 0));
        let slices = applied(&empty, &plan(&empty, vec![group(80, 0..2)]));
        assert_eq!(sizes(&slices), [2], "the placeholder makes way");
        let emptied = plan(&slices, vec![]);
        assert_eq!(writes(&emptied), (0, 1, 0));
        assert_eq!(emptied.update[0].1["ports"], json!([]));
    }

    #[test]
    fn labels_follow_the_owner() {
        let slices = applied(&[], &plan(&[], vec![group(80, 0..2)]));
        let mut owner = owner();
        owner.labels.insert("team".into(), "a".into());
        let changes = plan_slices(&owner, &slices, vec![group(80, 0..2)], &[Family::V4], true);
        assert_eq!(changes.update[0].1["metadata"]["labels"], json!({"team": "a"}));
        assert!(changes.update[0].1.get("endpoints").is_none());
    }
}
