//! All that a process knows of the cluster at one moment.

use crate::{ServiceName, ServiceView};
use imbl::{OrdMap, OrdSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A node, as the data path needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// Its InternalIPs.
    pub addresses: Vec<IpAddr>,
    /// Its Pod ranges as (address, prefix length).
    pub pod_cidrs: Vec<(IpAddr, u8)>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// Condition Ready is True.
    pub ready: bool,
}

/// All Services, nodes and namespaces at one moment. Cloning is cheap; unchanged Services keep their `Arc`.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// False until every watch has listed once; nothing may be planned from such a snapshot.
    pub complete: bool,
    /// All Services, also those without endpoints.
    pub services: OrdMap<ServiceName, Arc<ServiceView>>,
    /// All nodes by name.
    pub nodes: OrdMap<Arc<str>, Arc<NodeView>>,
    /// The names of all namespaces, also of those without Services.
    pub namespaces: OrdSet<Arc<str>>,
}

impl Snapshot {
    /// The names of the Services that differ between two snapshots, in order. Proportional to the change: shared
    /// subtrees are skipped.
    #[must_use]
    pub fn changed_services(&self, older: &Self) -> Vec<ServiceName> {
        older
            .services
            .diff(&self.services)
            .map(|item| match item {
                imbl::ordmap::DiffItem::Add(name, _) | imbl::ordmap::DiffItem::Remove(name, _) => {
                    name.clone()
                }
                imbl::ordmap::DiffItem::Update { new: (name, _), .. } => name.clone(),
            })
            .collect()
    }

    /// The namespaces that are in one of two snapshots only, in order, each with whether it is in this one. Proportional
    /// to the change.
    #[must_use]
    pub fn changed_namespaces(&self, older: &Self) -> Vec<(Arc<str>, bool)> {
        (older.namespaces.diff(&self.namespaces))
            .map(|item| match item {
                imbl::ordset::DiffItem::Add(name) => (name.clone(), true),
                imbl::ordset::DiffItem::Remove(name) => (name.clone(), false),
            })
            .collect()
    }
}
