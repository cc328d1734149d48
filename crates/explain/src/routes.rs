//! Indices of what lies between clients and Services: who selects whom, Ingresses, NetworkPolicies, nodes.

use crate::objects::{Event, Ingress, NetworkPolicy, Node, Pod, Service};
use crate::snapshot::Snapshot;
use std::collections::HashMap;

/// What lies between clients and Services.
pub(crate) struct Routes<'a> {
    /// Services with a selector, by namespace and the first label that they ask for.
    selecting: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Service>>,
    ingresses: HashMap<(&'a str, &'a str), &'a Ingress>,
    policies: HashMap<&'a str, Vec<&'a NetworkPolicy>>,
    /// The nodes that are ready.
    pub(crate) ready_nodes: Vec<&'a Node>,
    /// What older versions of kube-proxy say of NodePorts that they could not open, about their node.
    pub(crate) unopened: Vec<&'a Event>,
}

impl<'a> Routes<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let unopened = |event: &&Event| {
            event.involved_object.kind == "Node" && event.message.starts_with("can't open port ")
        };
        let mut routes = Self {
            selecting: HashMap::new(),
            ingresses: HashMap::new(),
            policies: HashMap::new(),
            ready_nodes: snapshot.nodes.iter().filter(|node| node.is_ready()).collect(),
            unopened: snapshot.events.iter().filter(unopened).collect(),
        };
        for service in &snapshot.services {
            let Some((key, value)) = service.spec.selector.iter().next() else { continue };
            let namespace = service.metadata.namespace.as_str();
            routes.selecting.entry((namespace, key, value)).or_default().push(service);
        }
        for ingress in &snapshot.ingresses {
            for service in ingress.services() {
                routes.ingresses.entry((&ingress.metadata.namespace, service)).or_insert(ingress);
            }
        }
        for policy in &snapshot.policies {
            routes.policies.entry(&policy.metadata.namespace).or_default().push(policy);
        }
        routes
    }

    /// The Services that select a Pod.
    pub(crate) fn services_of(&self, pod: &Pod) -> Vec<&'a Service> {
        let (namespace, labels) = (pod.metadata.namespace.as_str(), &pod.metadata.labels);
        let by_first = labels.iter().filter_map(|(k, v)| self.selecting.get(&(namespace, k, v))).flatten();
        let selects = |s: &&&Service| s.spec.selector.select(labels);
        let mut services: Vec<&Service> = by_first.filter(selects).copied().collect();
        services.sort_by_key(|service| &service.metadata.name);
        services
    }

    /// An Ingress that leads to a Service.
    pub(crate) fn ingress(&self, service: &Service) -> Option<&'a Ingress> {
        let key = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
        self.ingresses.get(&key).copied()
    }

    /// The NetworkPolicies of a namespace.
    pub(crate) fn policies(&self, namespace: &str) -> &[&'a NetworkPolicy] {
        self.policies.get(namespace).map_or(&[], Vec::as_slice)
    }
}
