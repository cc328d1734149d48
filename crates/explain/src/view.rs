//! A snapshot with the indices that make every look cheap: work is proportional to what a Service selects.

use crate::objects::{EndpointSlice, Event, Labels, Node, Pod, Service, Word, Workload};
use crate::routes::Routes;
use crate::snapshot::Snapshot;
use std::collections::HashMap;

/// A snapshot, indexed.
pub struct View<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Pods by namespace, label and value.
    labelled: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Pod>>,
    pods: HashMap<(&'a str, &'a str), &'a Pod>,
    namespaces: HashMap<&'a str, Vec<&'a Pod>>,
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    nodes: HashMap<&'a str, &'a Node>,
    workloads: HashMap<(&'a str, &'a str, &'a str), &'a Workload>,
    events: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Event>>,
    services: HashMap<(&'a str, &'a str), &'a Service>,
    /// What lies between clients and Services.
    pub(crate) routes: Routes<'a>,
    /// Workloads by namespace, label of their Pod template, and value.
    templates: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Workload>>,
    /// Workloads by namespace, label of their own, and value.
    workloads_labelled: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Workload>>,
    /// Slices that say of no Service that they are its own, by namespace.
    stray_slices: HashMap<&'a str, Vec<&'a EndpointSlice>>,
}

/// Whether a container takes what arrives at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It does.
    Yes,
    /// Only from the Pod itself: it listens on a loopback address.
    Loopback,
    /// Nothing listens.
    No,
    /// Nobody knows: the node is not one of ours, and nothing was probed.
    Unknown,
}

impl<'a> View<'a> {
    /// Indexes a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut view = Self {
            snapshot,
            labelled: HashMap::new(),
            pods: HashMap::new(),
            namespaces: HashMap::new(),
            slices: HashMap::new(),
            nodes: snapshot.nodes.iter().map(|node| (node.metadata.name.as_str(), node)).collect(),
            workloads: HashMap::new(),
            events: HashMap::new(),
            services: HashMap::new(),
            routes: Routes::new(snapshot),
            templates: HashMap::new(),
            workloads_labelled: HashMap::new(),
            stray_slices: HashMap::new(),
        };
        for pod in &snapshot.pods {
            view.add_pod(pod);
        }
        for slice in &snapshot.slices {
            let namespace = slice.metadata.namespace.as_str();
            match slice.service() {
                Some(service) => view.slices.entry((namespace, service)).or_default().push(slice),
                None => view.stray_slices.entry(namespace).or_default().push(slice),
            }
        }
        for workload in &snapshot.workloads {
            view.add_workload(workload);
        }
        for event in &snapshot.events {
            let about = &event.involved_object;
            view.events.entry((&about.kind, &about.namespace, &about.name)).or_default().push(event);
        }
        for service in &snapshot.services {
            view.services.insert((&service.metadata.namespace, &service.metadata.name), service);
        }
        view
    }

    fn add_pod(&mut self, pod: &'a Pod) {
        let namespace = pod.metadata.namespace.as_str();
        self.pods.insert((namespace, &pod.metadata.name), pod);
        self.namespaces.entry(namespace).or_default().push(pod);
        for (key, value) in pod.metadata.labels.iter() {
            self.labelled.entry((namespace, key, value)).or_default().push(pod);
        }
    }

    fn add_workload(&mut self, workload: &'a Workload) {
        let meta = &workload.metadata;
        let namespace = meta.namespace.as_str();
        self.workloads.insert((&workload.kind, namespace, &meta.name), workload);
        for (key, value) in workload.spec.template.metadata.labels.iter() {
            self.templates.entry((namespace, key, value)).or_default().push(workload);
        }
        for (key, value) in meta.labels.iter() {
            self.workloads_labelled.entry((namespace, key, value)).or_default().push(workload);
        }
    }

    /// The workloads of a namespace whose Pods have all of these labels; none for an empty selector.
    pub fn makes(&self, namespace: &str, selector: &Labels) -> Vec<&'a Workload> {
        let with_each = selector.iter().map(|(key, value)| self.templates.get(&(namespace, key, value)));
        let Some(rarest) = with_each.min_by_key(|found| found.map_or(0, Vec::len)) else { return Vec::new() };
        let all = |w: &&Workload| {
            let labels = &w.spec.template.metadata.labels;
            selector.select(labels)
        };
        rarest.into_iter().flatten().copied().filter(all).collect()
    }

    /// The workloads of a namespace that have all of these labels themselves; none for an empty selector.
    pub fn workloads_with(&self, namespace: &str, selector: &Labels) -> Vec<&'a Workload> {
        let Some((key, value)) = selector.iter().next() else { return Vec::new() };
        let found = self.workloads_labelled.get(&(namespace, key, value)).into_iter().flatten().copied();
        found.filter(|w| selector.select(&w.metadata.labels)).collect()
    }

    /// The slices of a namespace that are no Service's.
    pub fn stray_slices<'s>(&'s self, namespace: &str) -> &'s [&'a EndpointSlice] {
        self.stray_slices.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// Whether a Pod's node says nothing, or says that it is not ready.
    pub fn is_lost(&self, pod: &Pod) -> bool {
        self.node(&pod.spec.node_name).is_some_and(|node| !node.is_ready())
    }

    /// The Pods of a namespace with all of these labels; none for an empty selector.
    pub fn selected(&self, namespace: &str, selector: &Labels) -> Vec<&'a Pod> {
        let with_each = selector.iter().map(|(key, value)| self.labelled(namespace, key, value));
        // The rarest label has the fewest Pods to look through.
        let Some(rarest) = with_each.min_by_key(|pods| pods.len()) else { return Vec::new() };
        let all = |pod: &&&Pod| selector.select(&pod.metadata.labels);
        rarest.iter().filter(all).copied().collect()
    }

    /// The Pods of a namespace with this label.
    pub fn labelled<'s>(&'s self, namespace: &'s str, key: &'s str, value: &'s str) -> &'s [&'a Pod] {
        self.labelled.get(&(namespace, key, value)).map_or(&[], Vec::as_slice)
    }

    /// The Pods of a namespace.
    pub fn pods_of<'s>(&'s self, namespace: &'s str) -> &'s [&'a Pod] {
        self.namespaces.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// The namespaces that have Pods.
    pub fn namespaces(&self) -> impl Iterator<Item = &'a str> {
        self.namespaces.keys().copied()
    }

    /// A Pod by name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&'a Pod> {
        self.pods.get(&(namespace, name)).copied()
    }

    /// A Service by name.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        self.services.get(&(namespace, name)).copied()
    }

    /// The slices of a Service.
    pub fn slices_of<'s>(&'s self, service: &'s Service) -> &'s [&'a EndpointSlice] {
        let key = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
        self.slices.get(&key).map_or(&[], Vec::as_slice)
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.nodes.get(name).copied()
    }

    /// The warnings about an object, the last one last.
    pub fn events(&self, kind: &str, namespace: &str, name: &str) -> Vec<&'a Event> {
        let mut events = self.events.get(&(kind, namespace, name)).cloned().unwrap_or_default();
        events.sort_by_key(|event| event.at());
        events
    }

    /// The last warning about an object with one of these reasons.
    pub fn last_event(&self, kind: &str, namespace: &str, name: &str, reasons: &[&str]) -> Option<&'a Event> {
        let events = self.events(kind, namespace, name);
        events.into_iter().rfind(|event| reasons.contains(&event.reason.as_str()))
    }

    /// A workload by kind (`Deployment`), namespace and name.
    pub fn workload(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Workload> {
        self.workloads.get(&(kind, namespace, name)).copied()
    }

    /// What made a Pod: its Deployment rather than its ReplicaSet; as kind and name, since it may be none that was read.
    pub fn maker(&self, pod: &'a Pod) -> Option<(&'a str, &'a str)> {
        let namespace = pod.metadata.namespace.as_str();
        let owner = pod.metadata.owner_references.iter().find(|owner| owner.controller)?;
        if owner.kind != "ReplicaSet" {
            return Some((&owner.kind, &owner.name));
        }
        let set = self.workload("ReplicaSet", namespace, &owner.name);
        let above = set.and_then(|set| set.metadata.owner_references.iter().find(|owner| owner.controller));
        above.map(|owner| (owner.kind.as_str(), owner.name.as_str())).or(Some((&owner.kind, &owner.name)))
    }

    /// The word of a Pod's node, if it is one of ours that answered.
    pub fn word(&self, pod: &Pod) -> Option<&'a Word> {
        self.snapshot.words.get(&pod.spec.node_name)
    }

    /// Whether a container of the Pod serves a port: by its node's own word, or by what was probed.
    pub fn served(&self, pod: &Pod, protocol: &str, port: u32) -> Served {
        if !matches!(protocol, "TCP" | "UDP") {
            return Served::Unknown;
        }
        if let Some(said) =
            self.word(pod).and_then(|word| word.pods.iter().find(|p| p.uid == pod.metadata.uid))
        {
            let mut on =
                said.listeners.iter().filter(|l| l.protocol == protocol && l.port == port).peekable();
            return match (on.peek().is_some(), on.any(|listener| !listener.is_loopback())) {
                (true, true) => Served::Yes,
                (true, false) => Served::Loopback,
                (false, _) => Served::No,
            };
        }
        match self.snapshot.probed.get(&(pod.metadata.uid.clone(), port)).filter(|_| protocol == "TCP") {
            Some(true) => Served::Yes,
            Some(false) => Served::No,
            None => Served::Unknown,
        }
    }
}
