//! A cluster at one moment, as far as it could be read.

use crate::kind::Kind;
use crate::objects::{
    EndpointSlice, Event, Ingress, Namespace, NetworkPolicy, Node, Pod, Service, ServiceCidr, Word, Workload,
    list,
};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The moment.
    pub now: Timestamp,
    /// Services.
    pub services: Vec<Service>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// EndpointSlices.
    pub slices: Vec<EndpointSlice>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Namespaces.
    pub namespaces: Vec<Namespace>,
    /// Deployments, ReplicaSets, StatefulSets and DaemonSets.
    pub workloads: Vec<Workload>,
    /// Events that are not `Normal`.
    pub events: Vec<Event>,
    /// Ingresses.
    pub ingresses: Vec<Ingress>,
    /// NetworkPolicies.
    pub policies: Vec<NetworkPolicy>,
    /// ServiceCIDRs.
    pub service_cidrs: Vec<ServiceCidr>,
    /// What nodes of ours say of themselves, by name.
    pub words: BTreeMap<String, Word>,
    /// What was tried: whether something takes TCP connections at this port of the Pod with this uid.
    pub probed: BTreeMap<(String, u32), bool>,
    /// External names that were looked up, and whether they have an address.
    pub resolved: BTreeMap<String, bool>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// A kind that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The kind.
    pub kind: Kind,
    /// Why: "forbidden", say. `None` if the server does not know the kind, so that there are no objects of it.
    pub why: Option<String>,
}

/// One answer to a list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default, deserialize_with = "list")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    more: String,
}

impl Snapshot {
    /// Takes in one page of a list, as JSON, and returns the token that continues it, if there is more.
    ///
    /// # Errors
    /// If it is no list of that kind. Fields that no cause looks at are never an error.
    pub fn take(&mut self, kind: Kind, page: &[u8]) -> Result<Option<String>, serde_json::Error> {
        match kind {
            Kind::Service => add(&mut self.services, page),
            Kind::Pod => add(&mut self.pods, page),
            Kind::EndpointSlice => add(&mut self.slices, page),
            Kind::Node => add(&mut self.nodes, page),
            Kind::Namespace => add(&mut self.namespaces, page),
            Kind::Event => add(&mut self.events, page),
            Kind::Ingress => add(&mut self.ingresses, page),
            Kind::NetworkPolicy => add(&mut self.policies, page),
            Kind::ServiceCidr => add(&mut self.service_cidrs, page),
            Kind::Deployment => self.add_workloads("Deployment", page),
            Kind::ReplicaSet => self.add_workloads("ReplicaSet", page),
            Kind::StatefulSet => self.add_workloads("StatefulSet", page),
            Kind::DaemonSet => self.add_workloads("DaemonSet", page),
            Kind::NodeProxy | Kind::ClusterDns => Ok(None),
        }
    }

    /// Takes in another part of the same cluster.
    pub fn absorb(&mut self, part: Self) {
        self.services.extend(part.services);
        self.pods.extend(part.pods);
        self.slices.extend(part.slices);
        self.nodes.extend(part.nodes);
        self.namespaces.extend(part.namespaces);
        self.workloads.extend(part.workloads);
        self.events.extend(part.events);
        self.ingresses.extend(part.ingresses);
        self.policies.extend(part.policies);
        self.service_cidrs.extend(part.service_cidrs);
        self.words.extend(part.words);
        self.probed.extend(part.probed);
        self.resolved.extend(part.resolved);
        self.unread.extend(part.unread);
    }

    /// Forgets what was taken in of a kind: a list that expired half-way is read again.
    pub fn forget(&mut self, kind: Kind) {
        match kind {
            Kind::Service => self.services.clear(),
            Kind::Pod => self.pods.clear(),
            Kind::EndpointSlice => self.slices.clear(),
            Kind::Node => self.nodes.clear(),
            Kind::Namespace => self.namespaces.clear(),
            Kind::Event => self.events.clear(),
            Kind::Ingress => self.ingresses.clear(),
            Kind::NetworkPolicy => self.policies.clear(),
            Kind::ServiceCidr => self.service_cidrs.clear(),
            Kind::Deployment => self.workloads.retain(|w| w.kind != "Deployment"),
            Kind::ReplicaSet => self.workloads.retain(|w| w.kind != "ReplicaSet"),
            Kind::StatefulSet => self.workloads.retain(|w| w.kind != "StatefulSet"),
            Kind::DaemonSet => self.workloads.retain(|w| w.kind != "DaemonSet"),
            Kind::NodeProxy => self.words.clear(),
            Kind::ClusterDns => {}
        }
    }

    /// Whether all that is needed could be read. A kind that the server does not know has no objects, and hides none.
    pub fn has(&self, kinds: &[Kind]) -> bool {
        !self.unread.iter().any(|unread| unread.why.is_some() && kinds.contains(&unread.kind))
    }

    fn add_workloads(&mut self, kind: &str, page: &[u8]) -> Result<Option<String>, serde_json::Error> {
        let mut read: Vec<Workload> = Vec::new();
        let more = add(&mut read, page)?;
        self.workloads.extend(read.into_iter().map(|workload| Workload { kind: kind.into(), ..workload }));
        Ok(more)
    }
}

fn add<T: for<'de> Deserialize<'de>>(
    to: &mut Vec<T>,
    page: &[u8],
) -> Result<Option<String>, serde_json::Error> {
    let page: Page<T> = serde_json::from_slice(page)?;
    to.extend(page.items);
    Ok(Some(page.metadata.more).filter(|more| !more.is_empty()))
}
