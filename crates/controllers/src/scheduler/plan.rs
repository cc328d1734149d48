//! Which Pod goes to which node: spread by owner, then by number.

use super::fit::Host;
use crate::owner::{self, controller_of};
use crate::pod;
use k8s_openapi::api::core::v1::{Node, Pod};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where a Pod goes.
#[derive(Debug)]
pub(super) enum Decision {
    /// To this node.
    Bind(Arc<Pod>, String),
    /// Nowhere, and why.
    Unschedulable(Arc<Pod>, String),
}

/// Decides for all Pods that wait. `assumed` are decisions (uid → node) that the API has taken but not shown yet.
pub(super) fn plan(
    nodes: &[Arc<Node>],
    pods: &[Arc<Pod>],
    assumed: &HashMap<String, String>,
) -> Vec<Decision> {
    let mut hosts: BTreeMap<&str, Host<'_>> =
        nodes.iter().map(|node| Host::of(node)).map(|host| (host.name, host)).collect();
    let mut waiting = Vec::new();
    for pod in pods.iter().filter(|pod| !pod::is_finished(pod)) {
        let node = pod::node_name(pod).or_else(|| assumed.get(owner::uid(&pod.metadata)).map(String::as_str));
        match node {
            Some(node) => {
                if let Some(host) = hosts.get_mut(node) {
                    host.place(pod);
                }
            }
            None if waits(pod) => waiting.push(pod),
            None => {}
        }
    }
    waiting.sort_by_key(|pod| {
        let priority = pod::spec(pod).and_then(|spec| spec.priority).unwrap_or(0);
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (std::cmp::Reverse(priority), created, pod.metadata.name.clone())
    });
    waiting.into_iter().map(|pod| decide(&mut hosts, pod)).collect()
}

/// True for a Pod that is ours to place.
pub(super) fn waits(pod: &Pod) -> bool {
    let Some(spec) = pod::spec(pod) else { return false };
    let ours = spec.scheduler_name.as_deref().is_none_or(|name| name.is_empty() || name == super::COMPONENT);
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    ours && !gated
        && pod.metadata.deletion_timestamp.is_none()
        && pod::node_name(pod).is_none()
        && !pod::is_finished(pod)
}

fn decide(hosts: &mut BTreeMap<&str, Host<'_>>, pod: &Arc<Pod>) -> Decision {
    let uid = controller_of(&pod.metadata).map(|owner| owner.uid.as_str());
    let siblings = |host: &Host<'_>| uid.and_then(|uid| host.by_owner.get(uid)).copied().unwrap_or(0);
    let mut objections: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<(usize, usize, &str)> = None;
    for host in hosts.values() {
        let against = host.objections(pod);
        if against.is_empty() {
            let rank = (siblings(host), host.pods, host.name);
            best = Some(best.map_or(rank, |best| best.min(rank)));
        }
        for reason in against {
            *objections.entry(reason).or_default() += 1;
        }
    }
    match best {
        Some((_, _, name)) => {
            if let Some(host) = hosts.get_mut(name) {
                host.place(pod);
            }
            Decision::Bind(pod.clone(), name.to_owned())
        }
        None if hosts.is_empty() => {
            Decision::Unschedulable(pod.clone(), "no nodes available to schedule pods".to_owned())
        }
        None => {
            let mut reasons: Vec<String> =
                objections.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            let text = format!("0/{} nodes are available: {}.", hosts.len(), reasons.join(", "));
            Decision::Unschedulable(pod.clone(), text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, patch: Value) -> Arc<Node> {
        let mut node = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
                       "conditions": [{"type": "Ready", "status": "True"}]},
        });
        merge(&mut node, &patch);
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn pod(name: &str, patch: Value) -> Arc<Pod> {
        let mut pod = json!({"metadata": {"name": name, "uid": name}, "spec": {"containers": []}});
        merge(&mut pod, &patch);
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn merge(object: &mut Value, patch: &Value) {
        for (key, value) in patch.as_object().unwrap() {
            if value.is_object() && object[key].is_object() {
                merge(&mut object[key], value);
            } else {
                object[key] = value.clone();
            }
        }
    }

    fn shown(decisions: &[Decision]) -> Vec<String> {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        decisions
            .iter()
            .map(|decision| match decision {
                Decision::Bind(pod, node) => format!("{} to {node}", name(pod)),
                Decision::Unschedulable(_, why) => why.clone(),
            })
            .collect()
    }

    fn cpu(amount: &str) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": amount}}}]}})
    }

    #[test]
    fn one_pod_on_one_node() {
        let tainted = json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}});
        let tolerating =
            json!({"spec": {"tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes"}]}});
        let required = |operator: &str, value: &str| {
            json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": operator, "values": [value]}]}]}}}}})
        };
        let table: Vec<(Value, Value, &str)> = vec![
            (json!({}), json!({}), "p to n"),
            (
                json!({"spec": {"unschedulable": true}}),
                json!({}),
                "0/1 nodes are available: 1 node(s) were unschedulable.",
            ),
            (
                tainted.clone(),
                json!({}),
                "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.",
            ),
            (tainted, tolerating, "p to n"),
            (
                json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                json!({}),
                "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
            ),
            (
                json!({}),
                json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            ),
            (json!({}), required("In", "n"), "p to n"),
            (
                json!({}),
                required("NotIn", "n"),
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            ),
            (json!({}), cpu("2"), "p to n"),
            (json!({}), cpu("2001m"), "0/1 nodes are available: 1 Insufficient cpu."),
            (
                json!({"status": {"allocatable": {"pods": "0"}}}),
                json!({}),
                "0/1 nodes are available: 1 Too many pods.",
            ),
        ];
        for (on, of, expected) in table {
            assert_eq!(
                shown(&plan(&[node("n", on.clone())], &[pod("p", of.clone())], &HashMap::new())),
                [expected],
                "{on} {of}"
            );
        }
        assert_eq!(
            shown(&plan(&[], &[pod("p", json!({}))], &HashMap::new())),
            ["no nodes available to schedule pods"]
        );
    }

    #[test]
    fn pods_spread() {
        let nodes = [node("n1", json!({})), node("n2", json!({})), node("n3", json!({}))];
        let owned = |name: &str, owner: &str, node: &str| {
            let reference = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true}]);
            pod(name, json!({"metadata": {"ownerReferences": reference}, "spec": {"nodeName": node}}))
        };
        // n1 has one of the same owner, n2 two others: n3 is the emptiest, then n2 has none of the owner's.
        let pods = [
            owned("a", "web", "n1"),
            owned("b", "db", "n2"),
            owned("c", "db", "n2"),
            owned("w1", "web", ""),
            owned("w2", "web", ""),
            owned("w3", "web", ""),
        ];
        assert_eq!(shown(&plan(&nodes, &pods, &HashMap::new())), ["w1 to n3", "w2 to n2", "w3 to n1"]);
    }

    #[test]
    fn what_was_decided_counts() {
        let nodes = [node("n", json!({}))];
        let pods = [pod("a", cpu("1500m")), pod("b", cpu("1"))];
        let assumed = [("a".to_owned(), "n".to_owned())].into();
        assert_eq!(shown(&plan(&nodes, &pods, &assumed)), ["0/1 nodes are available: 1 Insufficient cpu."]);
    }

    #[test]
    fn not_ours() {
        let pods = [
            pod("gated", json!({"spec": {"schedulingGates": [{"name": "g"}]}})),
            pod("other", json!({"spec": {"schedulerName": "mine"}})),
            pod("going", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
            pod("done", json!({"status": {"phase": "Succeeded"}})),
        ];
        assert!(plan(&[node("n", json!({}))], &pods, &HashMap::new()).is_empty());
    }
}
