//! The events of all watches, joined: pure, without a client or a clock.

use crate::project::{Projected, SliceView, project_node, project_service, project_slice};
use crate::table::Table;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use sealane_model::{Endpoint, NodeView, ServiceName, ServiceView, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An event of one of the watches.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an event is handed on once and then gone")]
pub enum Change {
    /// Of the Services.
    Service(Event<Service>),
    /// Of the EndpointSlices.
    Slice(Event<EndpointSlice>),
    /// Of the Nodes.
    Node(Event<Node>),
    /// Of the Namespaces.
    Namespace(Event<Namespace>),
}

/// A slice's name in its namespace.
type SliceName = (Arc<str>, Arc<str>);

/// All objects as last seen, and the snapshot last published.
#[derive(Debug)]
pub struct Index {
    services: Table<ServiceName, ServiceView>,
    slices: Table<SliceName, SliceView>,
    nodes: Table<Arc<str>, NodeView>,
    /// Only that they exist matters.
    namespaces: Table<Arc<str>, ()>,
    slices_of: BTreeMap<ServiceName, BTreeSet<SliceName>>,
    dirty_services: BTreeSet<ServiceName>,
    dirty_nodes: BTreeSet<Arc<str>>,
    dirty_namespaces: BTreeSet<Arc<str>>,
    published: Arc<Snapshot>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            services: Table::new(),
            slices: Table::new(),
            nodes: Table::new(),
            namespaces: Table::new(),
            slices_of: BTreeMap::new(),
            dirty_services: BTreeSet::new(),
            dirty_nodes: BTreeSet::new(),
            dirty_namespaces: BTreeSet::new(),
            published: Arc::default(),
        }
    }

    /// Takes one event in. Work is that of one object, except at the end of a list.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Service(Event::Init) => self.services.begin(),
            Change::Slice(Event::Init) => self.slices.begin(),
            Change::Node(Event::Init) => self.nodes.begin(),
            Change::Namespace(event) => self.namespace_event(event),
            Change::Service(Event::InitApply(service) | Event::Apply(service)) => self.set_service(&service),
            Change::Slice(Event::InitApply(slice) | Event::Apply(slice)) => self.set_slice(&slice),
            Change::Node(Event::InitApply(node) | Event::Apply(node)) => self.set_node(&node),
            Change::Service(Event::Delete(service)) => {
                if let Some((namespace, name)) = names(&service.metadata) {
                    self.remove_service(&ServiceName { namespace, name });
                }
            }
            Change::Slice(Event::Delete(slice)) => {
                names(&slice.metadata).into_iter().for_each(|name| self.remove_slice(&name));
            }
            Change::Node(Event::Delete(node)) => {
                node.metadata.name.iter().for_each(|name| self.remove_node(&name.as_str().into()));
            }
            Change::Service(Event::InitDone) => {
                self.dirty_services.extend(self.services.sweep().into_iter().map(|(name, _)| name));
            }
            Change::Slice(Event::InitDone) => {
                for (name, view) in self.slices.sweep() {
                    self.leave(&name, &view.service);
                }
            }
            Change::Node(Event::InitDone) => {
                self.dirty_nodes.extend(self.nodes.sweep().into_iter().map(|(name, _)| name));
            }
        }
    }

    /// The snapshot of what was applied since the last call, if all watches have listed and it differs from that of the
    /// last call. Work is that of the Services and nodes that changed.
    pub fn publish(&mut self) -> Option<Arc<Snapshot>> {
        if !self.is_complete() {
            return None;
        }
        let mut next = (*self.published).clone();
        let mut changed = !next.complete;
        next.complete = true;
        for name in std::mem::take(&mut self.dirty_services) {
            let view = self.join(&name);
            if next.services.get(&name).map(|view| &**view) == view.as_ref() {
                continue;
            }
            changed = true;
            match view {
                Some(view) => next.services.insert(name, Arc::new(view)),
                None => next.services.remove(&name),
            };
        }
        for name in std::mem::take(&mut self.dirty_nodes) {
            let view = self.nodes.get(&name);
            if next.nodes.get(&name).map(|view| &**view) == view {
                continue;
            }
            changed = true;
            match view.cloned() {
                Some(view) => next.nodes.insert(name, Arc::new(view)),
                None => next.nodes.remove(&name),
            };
        }
        for name in std::mem::take(&mut self.dirty_namespaces) {
            changed |= match self.namespaces.get(&name) {
                Some(()) => next.namespaces.insert(name).is_none(),
                None => next.namespaces.remove(&name).is_some(),
            };
        }
        changed.then(|| {
            self.published = Arc::new(next);
            self.published.clone()
        })
    }

    /// Whether every watch has listed once.
    fn is_complete(&self) -> bool {
        self.services.is_complete()
            && self.slices.is_complete()
            && self.nodes.is_complete()
            && self.namespaces.is_complete()
    }

    /// A Service with the endpoints of all its slices.
    fn join(&self, name: &ServiceName) -> Option<ServiceView> {
        let mut view = self.services.get(name)?.clone();
        let slices =
            self.slices_of.get(name).into_iter().flatten().filter_map(|slice| self.slices.get(slice));
        view.endpoints = unique(slices.flat_map(|slice| slice.endpoints.iter().cloned()).collect());
        Some(view)
    }

    fn set_service(&mut self, service: &Service) {
        let Some(projected) = project_service(service) else { return };
        let name = projected.value.name.clone();
        let findings = projected.findings.clone();
        if self.services.set(name.clone(), projected.value).is_some() {
            warn("Service", &name.namespace, &name.name, &findings);
            self.dirty_services.insert(name);
        }
    }

    fn set_slice(&mut self, slice: &EndpointSlice) {
        let Some(name) = names(&slice.metadata) else { return };
        let Some(Projected { value, findings }) = project_slice(slice) else {
            return self.remove_slice(&name);
        };
        let service = value.service.clone();
        let Some(before) = self.slices.set(name.clone(), value) else { return };
        warn("EndpointSlice", &name.0, &name.1, &findings);
        if let Some(before) = before.filter(|before| before.service != service) {
            self.leave(&name, &before.service);
        }
        self.slices_of.entry(service.clone()).or_default().insert(name);
        self.dirty_services.insert(service);
    }

    fn set_node(&mut self, node: &Node) {
        let Some(Projected { value, findings }) = project_node(node) else { return };
        let name = value.name.clone();
        if self.nodes.set(name.clone(), value).is_some() {
            warn("Node", "", &name, &findings);
            self.dirty_nodes.insert(name);
        }
    }

    fn namespace_event(&mut self, event: Event<Namespace>) {
        let name = |namespace: &Namespace| namespace.metadata.name.as_deref().map(Arc::<str>::from);
        match event {
            Event::Init => self.namespaces.begin(),
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let name = name(&namespace).filter(|name| self.namespaces.set(name.clone(), ()).is_some());
                self.dirty_namespaces.extend(name);
            }
            Event::Delete(namespace) => {
                let name = name(&namespace).filter(|name| self.namespaces.remove(name).is_some());
                self.dirty_namespaces.extend(name);
            }
            Event::InitDone => {
                self.dirty_namespaces.extend(self.namespaces.sweep().into_iter().map(|(name, ())| name));
            }
        }
    }

    fn remove_service(&mut self, name: &ServiceName) {
        if self.services.remove(name).is_some() {
            self.dirty_services.insert(name.clone());
        }
    }

    fn remove_slice(&mut self, name: &SliceName) {
        if let Some(view) = self.slices.remove(name) {
            self.leave(name, &view.service);
        }
    }

    fn remove_node(&mut self, name: &Arc<str>) {
        if self.nodes.remove(name).is_some() {
            self.dirty_nodes.insert(name.clone());
        }
    }

    /// A slice no longer belongs to a Service.
    fn leave(&mut self, slice: &SliceName, service: &ServiceName) {
        if let Some(slices) = self.slices_of.get_mut(service) {
            slices.remove(slice);
            if slices.is_empty() {
                self.slices_of.remove(service);
            }
        }
        self.dirty_services.insert(service.clone());
    }
}

/// Sorted; while an endpoint moves between slices it is in two of them: the ready one counts.
fn unique(mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    endpoints.sort_by(|a, b| {
        let key = |one: &Endpoint| (!one.ready, !one.serving, one.terminating);
        (a.ip, &a.ports).cmp(&(b.ip, &b.ports)).then_with(|| key(a).cmp(&key(b))).then_with(|| a.cmp(b))
    });
    endpoints.dedup_by(|later, first| (later.ip, &later.ports) == (first.ip, &first.ports));
    endpoints
}

fn names(meta: &ObjectMeta) -> Option<(Arc<str>, Arc<str>)> {
    Some((meta.namespace.as_deref()?.into(), meta.name.as_deref()?.into()))
}

fn warn(kind: &str, namespace: &str, name: &str, findings: &[crate::Finding]) {
    for finding in findings {
        tracing::warn!(kind, namespace, name, field = finding.field, "{}", finding.message);
    }
}
