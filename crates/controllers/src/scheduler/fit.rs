//! Why a Pod does not fit a node, in kube-scheduler's words.

use super::quantity::{Amounts, add, amounts, requests};
use crate::pod;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration,
};
use std::collections::{BTreeMap, BTreeSet};

/// A node and what is on it.
#[derive(Debug, Clone)]
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    node: &'a Node,
    ready: bool,
    allocatable: Amounts,
    used: Amounts,
    host_ports: BTreeSet<(String, i32)>,
    /// Pods on it.
    pub(super) pods: usize,
    /// Pods on it by the uid of their controller.
    pub(super) by_owner: BTreeMap<String, usize>,
}

impl<'a> Host<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let status = node.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        Self {
            name: node.metadata.name.as_deref().unwrap_or_default(),
            node,
            ready: conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True"),
            allocatable: amounts(status.and_then(|status| status.allocatable.as_ref())),
            used: Amounts::new(),
            host_ports: BTreeSet::new(),
            pods: 0,
            by_owner: BTreeMap::new(),
        }
    }

    /// Counts a Pod as being here.
    pub(super) fn place(&mut self, pod: &Pod) {
        let Some(spec) = pod::spec(pod) else { return };
        add(&mut self.used, &requests(spec));
        self.host_ports.extend(host_ports(spec));
        self.pods += 1;
        if let Some(owner) = crate::owner::controller_of(&pod.metadata) {
            *self.by_owner.entry(owner.uid.clone()).or_default() += 1;
        }
    }

    /// The reasons against placing a Pod here; none if it fits.
    pub(super) fn objections(&self, pod: &Pod) -> Vec<String> {
        let Some(spec) = pod::spec(pod) else {
            return vec!["node(s) cannot run a pod without spec".to_owned()];
        };
        let tolerations = spec.tolerations.as_deref().unwrap_or_default();
        let taints = self.node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let unschedulable = self.node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        if unschedulable && !tolerates(tolerations, &taint("node.kubernetes.io/unschedulable")) {
            return vec!["node(s) were unschedulable".to_owned()];
        }
        let mut taints: Vec<Taint> =
            taints.iter().filter(|t| t.effect != "PreferNoSchedule").cloned().collect();
        if !self.ready && taints.is_empty() {
            taints.push(taint("node.kubernetes.io/not-ready"));
        }
        if let Some(taint) = taints.iter().find(|taint| !tolerates(tolerations, taint)) {
            let value = taint.value.as_deref().unwrap_or_default();
            return vec![format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)];
        }
        if !selects(spec, self.node) {
            return vec!["node(s) didn't match Pod's node affinity/selector".to_owned()];
        }
        if host_ports(spec).any(|port| self.host_ports.contains(&port)) {
            return vec!["node(s) didn't have free ports for the requested pod ports".to_owned()];
        }
        self.shortages(spec)
    }

    fn shortages(&self, spec: &PodSpec) -> Vec<String> {
        let mut shortages = Vec::new();
        let room = self.allocatable.get("pods").map_or(110, |pods| pods / 1000);
        if i64::try_from(self.pods).unwrap_or(i64::MAX) >= room {
            shortages.push("Too many pods".to_owned());
        }
        for (name, amount) in requests(spec).into_iter().filter(|(_, amount)| *amount > 0) {
            let free = self.allocatable.get(&name).copied().unwrap_or(0)
                - self.used.get(&name).copied().unwrap_or(0);
            if amount > free {
                shortages.push(format!("Insufficient {name}"));
            }
        }
        shortages
    }
}

fn taint(key: &str) -> Taint {
    Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
}

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = (String, i32)> + '_ {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports
        .filter(|port| port.host_port.is_some_and(|number| number > 0))
        .map(|port| (port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port.host_port.unwrap_or(0)))
}

/// True if one of the tolerations tolerates the taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates_one(toleration, taint))
}

/// True if a toleration tolerates a taint: an empty effect means every effect, an empty key with Exists every taint.
pub(crate) fn tolerates_one(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, effect) = (given(&toleration.key), given(&toleration.effect));
    let exists = toleration.operator.as_deref() == Some("Exists");
    (effect.is_empty() || effect == taint.effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists || given(&toleration.value) == given(&taint.value))
}

fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let plain = spec.node_selector.as_ref().is_none_or(|s| crate::selector::equality_matches(s, labels));
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    plain
        && required.is_none_or(|terms| terms.node_selector_terms.iter().any(|term| term_matches(term, node)))
}

/// A term without requirements matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let field = |key: &str| node.metadata.name.as_deref().filter(|_| key == "metadata.name");
    !(labels.is_empty() && fields.is_empty())
        && labels.iter().all(|requirement| meets(requirement, label(&requirement.key)))
        && fields.iter().all(|requirement| meets(requirement, field(&requirement.key)))
}

fn meets(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = requirement.values.as_deref().unwrap_or_default();
    let compared = || {
        let number: i64 = value?.parse().ok()?;
        let limit: i64 = listed.first()?.parse().ok()?;
        Some(number.cmp(&limit))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| listed.iter().any(|v| v == value)),
        "NotIn" => value.is_none_or(|value| !listed.iter().any(|v| v == value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}
