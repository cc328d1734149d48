//! The smallest set of writes that turns the slices that are there into those that are to be.

use super::slice::{new_slice, same_ports, update};
use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::owner;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;
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

    pub(super) fn name(self) -> &'static str {
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
pub(super) struct Draft {
    pub(super) current: Option<Arc<EndpointSlice>>,
    pub(super) family: Family,
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoints: Vec<Endpoint>,
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
            slice.address_type == group.family.name()
                && same_ports(slice.ports.as_deref().unwrap_or_default(), &group.ports)
        };
        let (mine, others) = free.into_iter().partition(|slice| fits(slice));
        free = others;
        drafts.extend(fill(mine, group, &mut changes.delete));
    }
    for family in families.iter().filter(|_| placeholder) {
        if !drafts.iter().any(|draft: &Draft| draft.family == *family) {
            // One that is to go may as well stay.
            let kept =
                free.iter().chain(&changes.delete).find(|slice| slice.address_type == family.name()).cloned();
            let is_kept = |slice: &Arc<EndpointSlice>| kept.as_ref().is_some_and(|k| Arc::ptr_eq(k, slice));
            free.retain(|slice| !is_kept(slice));
            changes.delete.retain(|slice| !is_kept(slice));
            drafts.push(Draft { current: kept, family: *family, ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    changes.delete.extend(free);
    drafts.iter().for_each(|draft| write(owner, draft, &mut changes));
    changes
}

fn write(owner: &SliceOwner, draft: &Draft, changes: &mut Changes) {
    match &draft.current {
        None => changes.create.push(new_slice(owner, draft)),
        Some(current) => {
            changes.update.extend(update(owner, current, draft).map(|patch| (current.clone(), patch)));
        }
    }
}

/// Puts a group's endpoints into its slices: each stays where it is, new ones go where there is room, the fullest
/// slice that will be written anyway first.
fn fill(slices: Vec<Arc<EndpointSlice>>, group: Group, delete: &mut Vec<Arc<EndpointSlice>>) -> Vec<Draft> {
    let mut wanted: HashMap<String, Endpoint> =
        group.endpoints.iter().map(|e| (identity(e), e.clone())).collect();
    let mut drafts: Vec<(bool, Draft)> = Vec::new();
    for slice in slices {
        let mut endpoints = Vec::new();
        for old in &slice.endpoints {
            endpoints.extend(wanted.remove(&identity(old)));
        }
        let changed = endpoints != slice.endpoints;
        let draft = Draft {
            family: group.family,
            ports: slice.ports.clone().unwrap_or_default(),
            endpoints,
            current: Some(slice),
        };
        drafts.push((changed, draft));
    }
    let mut seen = HashSet::new();
    let mut rest: Vec<Endpoint> = group
        .endpoints
        .into_iter()
        .filter(|e| wanted.contains_key(&identity(e)) && seen.insert(identity(e)))
        .collect();
    place(&mut rest, &mut drafts);
    let (kept, empty): (Vec<_>, Vec<_>) =
        drafts.into_iter().partition(|(_, draft)| !draft.endpoints.is_empty());
    delete.extend(empty.into_iter().filter_map(|(_, draft)| draft.current));
    let mut drafts: Vec<Draft> = kept.into_iter().map(|(_, draft)| draft).collect();
    for chunk in rest.chunks(PER_SLICE) {
        let (family, ports) = (group.family, group.ports.clone());
        drafts.push(Draft { current: None, family, ports, endpoints: chunk.to_vec() });
    }
    drafts
}

/// Puts new endpoints into the slices that have room; the flag says that a slice will be written anyway.
fn place(rest: &mut Vec<Endpoint>, drafts: &mut [(bool, Draft)]) {
    drafts.sort_by_key(|(changed, draft)| (!*changed, std::cmp::Reverse(draft.endpoints.len())));
    for (changed, draft) in drafts.iter_mut() {
        let room = PER_SLICE.saturating_sub(draft.endpoints.len());
        // An untouched slice is only touched if it takes all that is left.
        if !draft.endpoints.is_empty() && (*changed || room >= rest.len()) {
            draft.endpoints.extend(rest.drain(..room.min(rest.len())));
        }
    }
    for (_, draft) in drafts.iter_mut().filter(|(_, draft)| draft.endpoints.is_empty()) {
        draft.endpoints.extend(rest.drain(..PER_SLICE.min(rest.len())));
    }
}

/// What makes an endpoint the same one with other conditions: its address and its Pod.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
    format!("{}|{}", endpoint.addresses.join(","), uid.unwrap_or_default())
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
