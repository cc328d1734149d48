//! What becomes of an object whose owners go: pkg/controller/garbagecollector/garbagecollector.go.

use super::graph::{Graph, Object, OwnerRef};

/// How a delete treats the object's own dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Background,
    Foreground,
    Orphan,
}

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    Present,
    /// It is being deleted and waits for its dependents.
    Waiting,
    Absent,
    /// Not among the objects we watch: the API must be asked.
    Unknown,
}

/// The next thing to do about an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Leave,
    /// It waits for these: look at them.
    Await(Vec<String>),
    /// Take the foreground finalizer off: nobody blocks it any more.
    Release,
    /// Take the references to it off these, then the orphan finalizer off it.
    OrphanDependents(Vec<String>),
    /// Take the references to these owners off it.
    DropOwners(Vec<String>),
    /// Delete it. The dependents listed must no longer block it first, or a circle would wait for itself.
    Delete(Policy, Vec<String>),
}

/// The state of an owner as the graph knows it.
pub(super) fn state_of(graph: &Graph, object: &Object, owner: &OwnerRef) -> OwnerState {
    match graph.get(&owner.uid) {
        // Owners live in the same namespace or in none.
        Some(found) if !found.key.namespace.is_empty() && found.key.namespace != object.key.namespace => {
            OwnerState::Absent
        }
        Some(found) if found.waits() => OwnerState::Waiting,
        Some(_) => OwnerState::Present,
        None if graph.is_gone(&owner.uid) => OwnerState::Absent,
        None => OwnerState::Unknown,
    }
}

/// Plans for one object. `owners` are the states of its owners, in order, none of them unknown.
pub(super) fn plan(graph: &Graph, uid: &str, owners: &[OwnerState]) -> Step {
    let Some(object) = graph.get(uid) else { return Step::Leave };
    if object.deleting && object.orphan {
        return Step::OrphanDependents(graph.dependents(uid).map(|(uid, _)| uid.clone()).collect());
    }
    if object.waits() {
        let blocks =
            |dependent: &Object| dependent.owners.iter().any(|owner| owner.uid == uid && owner.blocking);
        let all: Vec<&String> =
            graph.dependents(uid).filter(|(_, d)| blocks(d)).map(|(uid, _)| uid).collect();
        return if all.is_empty() { Step::Release } else { Step::Await(all.into_iter().cloned().collect()) };
    }
    if object.deleting || object.owners.is_empty() {
        return Step::Leave;
    }
    let uids = |wanted: &[OwnerState]| -> Vec<String> {
        let pairs = object.owners.iter().zip(owners);
        pairs.filter(|(_, state)| wanted.contains(state)).map(|(owner, _)| owner.uid.clone()).collect()
    };
    if owners.contains(&OwnerState::Present) {
        let others = uids(&[OwnerState::Absent, OwnerState::Waiting]);
        return if others.is_empty() { Step::Leave } else { Step::DropOwners(others) };
    }
    let dependents: Vec<(&String, &Object)> = graph.dependents(uid).collect();
    if owners.contains(&OwnerState::Waiting) && !dependents.is_empty() {
        let circle =
            dependents.iter().filter(|(_, dependent)| dependent.waits()).map(|(uid, _)| (*uid).clone());
        return Step::Delete(Policy::Foreground, circle.collect());
    }
    let policy = match (object.orphan, object.foreground) {
        (true, _) => Policy::Orphan,
        (_, true) => Policy::Foreground,
        _ => Policy::Background,
    };
    Step::Delete(policy, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::ObjectMeta;
    use serde_json::json;

    /// `name` owned by `owners`, with finalizers; deleting if there are any.
    fn put(graph: &mut Graph, name: &str, owners: &[&str], finalizers: &[&str]) {
        let references: Vec<_> = owners
            .iter()
            .map(|owner| json!({"apiVersion": "v1", "kind": "X", "name": owner, "uid": owner, "blockOwnerDeletion": true}))
            .collect();
        let mut meta =
            json!({"name": name, "namespace": "n", "ownerReferences": references, "finalizers": finalizers});
        if !finalizers.is_empty() {
            meta["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
        graph.put(name, Object::of(0, &meta));
    }

    fn step(graph: &Graph, uid: &str) -> Step {
        let object = graph.get(uid).unwrap();
        let states: Vec<_> = object.owners.iter().map(|owner| state_of(graph, object, owner)).collect();
        plan(graph, uid, &states)
    }

    fn some(uids: &[&str]) -> Vec<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    #[test]
    fn background() {
        let mut graph = Graph::default();
        put(&mut graph, "deployment", &[], &[]);
        put(&mut graph, "set", &["deployment"], &[]);
        put(&mut graph, "pod", &["set"], &[]);
        assert_eq!(step(&graph, "set"), Step::Leave);
        assert_eq!(graph.remove("deployment"), ["set"]);
        assert_eq!(step(&graph, "set"), Step::Delete(Policy::Background, vec![]));
        assert_eq!(step(&graph, "pod"), Step::Leave, "its owner is still there");
        assert_eq!(graph.remove("set"), ["pod"]);
        assert_eq!(step(&graph, "pod"), Step::Delete(Policy::Background, vec![]));
    }

    #[test]
    fn one_owner_of_two() {
        let mut graph = Graph::default();
        put(&mut graph, "a", &[], &[]);
        put(&mut graph, "b", &[], &[]);
        put(&mut graph, "shared", &["a", "b"], &[]);
        graph.remove("a");
        assert_eq!(step(&graph, "shared"), Step::DropOwners(some(&["a"])));
    }

    #[test]
    fn foreground() {
        let mut graph = Graph::default();
        put(&mut graph, "deployment", &[], &["foregroundDeletion"]);
        put(&mut graph, "set", &["deployment"], &[]);
        put(&mut graph, "pod", &["set"], &[]);
        assert_eq!(step(&graph, "deployment"), Step::Await(some(&["set"])));
        assert_eq!(step(&graph, "set"), Step::Delete(Policy::Foreground, vec![]));
        put(&mut graph, "set", &["deployment"], &["foregroundDeletion"]);
        assert_eq!(step(&graph, "set"), Step::Await(some(&["pod"])));
        assert_eq!(step(&graph, "pod"), Step::Delete(Policy::Background, vec![]));
        assert_eq!(graph.remove("pod"), ["set"]);
        assert_eq!(step(&graph, "set"), Step::Release);
        assert_eq!(graph.remove("set"), ["deployment"]);
        assert_eq!(step(&graph, "deployment"), Step::Release);
    }

    #[test]
    fn orphans() {
        let mut graph = Graph::default();
        put(&mut graph, "deployment", &[], &["orphan"]);
        put(&mut graph, "set", &["deployment"], &[]);
        assert_eq!(step(&graph, "deployment"), Step::OrphanDependents(some(&["set"])));
    }

    #[test]
    fn a_circle_does_not_wait_for_itself() {
        let mut graph = Graph::default();
        put(&mut graph, "a", &["b"], &["foregroundDeletion"]);
        put(&mut graph, "b", &["a"], &[]);
        assert_eq!(step(&graph, "b"), Step::Delete(Policy::Foreground, some(&["a"])));
    }

    #[test]
    fn an_owner_in_another_namespace_is_none() {
        let mut graph = Graph::default();
        let meta: ObjectMeta =
            serde_json::from_value(json!({"name": "owner", "namespace": "elsewhere"})).unwrap();
        graph.put("owner", Object::of(0, &meta));
        put(&mut graph, "pod", &["owner"], &[]);
        assert_eq!(step(&graph, "pod"), Step::Delete(Policy::Background, vec![]));
    }
}
