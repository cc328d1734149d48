//! What a node may touch: its own objects, its Pods, and what they refer to. RBAC says what sort of thing nodes may do, this
//! says to which objects (`plugin/pkg/auth/authorizer/node` and `plugin/pkg/admission/noderestriction`).
//!
//! The relation is read from the store at each question: nodes ask when a Pod starts, not all the time.

use super::{Attributes, User};
use crate::registry::key::{object_key, resource_prefix};
use crate::strategy::access::{at, list, text};
use sealane_storage::Store;
use serde_json::Value;

const GROUP: &str = "system:nodes";
const PREFIX: &str = "system:node:";
/// The namespace of the nodes' Leases.
const LEASES: &str = "kube-node-lease";

/// The node that a user is.
pub(crate) fn node_of(user: &User) -> Option<&str> {
    user.name.strip_prefix(PREFIX).filter(|_| user.is_in(GROUP))
}

/// Whether a node may touch what it asks for.
///
/// # Errors
/// Why not, to stand behind the denial.
pub(super) fn check(store: &dyn Store, node: &str, asked: &Attributes) -> Result<(), String> {
    let write = !matches!(asked.verb.as_str(), "get" | "list" | "watch");
    let own = |what: &str| {
        let other = !asked.name.is_empty() && asked.name != node;
        if write && other { Err(format!("node \"{node}\" is not allowed to modify {what}")) } else { Ok(()) }
    };
    match (asked.group.as_str(), asked.resource.as_str(), asked.subresource.as_str()) {
        ("", "nodes", _) => own(&format!("node \"{}\"", asked.name)),
        ("coordination.k8s.io", "leases", _) if asked.namespace != LEASES => {
            Err(format!("can only access leases in the \"{LEASES}\" system namespace"))
        }
        ("coordination.k8s.io", "leases", _) => own("")
            .map_err(|_| "can only access node lease with the same name as the requesting node".to_owned()),
        ("", "pods", below) if write => pod(store, node, asked, below),
        ("", "secrets", _) => related(store, node, asked, secrets_of),
        ("", "configmaps", _) => related(store, node, asked, config_maps_of),
        ("", "serviceaccounts", "token") => related(store, node, asked, accounts_of),
        _ => Ok(()),
    }
}

/// Whether a node may create an object of that name, which does not stand in the request's path.
///
/// # Errors
/// Why not.
pub(crate) fn check_create(user: &User, group: &str, plural: &str, name: &str) -> Result<(), String> {
    let Some(node) = node_of(user).filter(|node| *node != name) else { return Ok(()) };
    match (group, plural) {
        ("", "nodes") => Err(format!("node \"{node}\" is not allowed to modify node \"{name}\"")),
        ("coordination.k8s.io", "leases") => {
            Err("can only access node lease with the same name as the requesting node".to_owned())
        }
        _ => Ok(()),
    }
}

fn pod(store: &dyn Store, node: &str, asked: &Attributes, below: &str) -> Result<(), String> {
    let entry = store.get(&object_key("", "pods", &asked.namespace, &asked.name));
    let pod = entry.and_then(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    // what is not there is told by the registry
    if pod.is_none_or(|pod| text(at(&pod, &["spec"]), "nodeName") == node) {
        return Ok(());
    }
    let what = match (asked.verb.as_str(), below) {
        ("delete", _) => "delete pods",
        (_, "status") => "update pod status for pods",
        _ => "change pods",
    };
    Err(format!("node \"{node}\" can only {what} with spec.nodeName set to itself"))
}

/// The object is one that a Pod of the node refers to.
fn related(
    store: &dyn Store,
    node: &str,
    asked: &Attributes,
    names_in: fn(&Value) -> Vec<&str>,
) -> Result<(), String> {
    if asked.name.is_empty() {
        return Err("No Object name found".to_owned());
    }
    let prefix = format!("{}{}/", resource_prefix("", "pods"), asked.namespace);
    let entries = store.range(&prefix, None, 0, None).map(|range| range.entries).unwrap_or_default();
    let quoted = [Value::from(asked.name.as_str()), Value::from(node)].map(|name| name.to_string());
    let found = entries.iter().any(|entry| {
        // most Pods speak of neither: no need to parse them
        quoted.iter().all(|name| contains(&entry.value, name.as_bytes()))
            && serde_json::from_slice::<Value>(&entry.value).is_ok_and(|pod| {
                text(at(&pod, &["spec"]), "nodeName") == node && names_in(&pod).contains(&asked.name.as_str())
            })
    });
    if found { Ok(()) } else { Err(format!("no relationship found between node '{node}' and this object")) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    list(at(pod, &["spec"]), "volumes").iter()
}

/// The sources of all volumes, projected ones among them.
fn sources(pod: &Value) -> impl Iterator<Item = &Value> {
    volumes(pod).chain(volumes(pod).flat_map(|volume| list(at(volume, &["projected"]), "sources")))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let spec = at(pod, &["spec"]);
    ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(|kind| list(spec, kind))
}

/// The names in the environment: `env[].valueFrom.KEY.name` and `envFrom[].REF.name`.
fn environment<'a>(
    pod: &'a Value,
    key: &'static str,
    reference: &'static str,
) -> impl Iterator<Item = &'a str> {
    containers(pod).flat_map(move |container| {
        let one = list(container, "env").iter().map(move |env| text(at(env, &["valueFrom", key]), "name"));
        one.chain(list(container, "envFrom").iter().map(move |env| text(at(env, &[reference]), "name")))
    })
}

fn secrets_of(pod: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = environment(pod, "secretKeyRef", "secretRef").collect();
    names.extend(volumes(pod).map(|volume| text(at(volume, &["secret"]), "secretName")));
    names.extend(sources(pod).map(|source| text(at(source, &["secret"]), "name")));
    names.extend(list(at(pod, &["spec"]), "imagePullSecrets").iter().map(|secret| text(secret, "name")));
    names
}

fn config_maps_of(pod: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = environment(pod, "configMapKeyRef", "configMapRef").collect();
    names.extend(sources(pod).map(|source| text(at(source, &["configMap"]), "name")));
    names
}

fn accounts_of(pod: &Value) -> Vec<&str> {
    vec![text(at(pod, &["spec"]), "serviceAccountName")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealane_storage::{MemoryStore, Op};
    use serde_json::json;

    async fn store() -> MemoryStore {
        let store = MemoryStore::new();
        let pod = |node: &str| {
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "serviceAccountName": "acc",
                "imagePullSecrets": [{"name": "pull"}],
                "volumes": [{"name": "v", "secret": {"secretName": "vol"}},
                    {"name": "w", "configMap": {"name": "map"}},
                    {"name": "x", "projected": {"sources": [{"configMap": {"name": "ca"}}, {"secret": {"name": "proj"}}]}}],
                "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "every"}}]}],
                "containers": [{"name": "c", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "one"}}}]}]}})
        };
        for (name, node) in [("mine", "n1"), ("theirs", "n2")] {
            let key = object_key("", "pods", "default", name);
            let mut pod = pod(node);
            if node == "n2" {
                pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "other"}}]);
            }
            store.txn(vec![], vec![Op::Put(key, pod.to_string().into())]).await.unwrap();
        }
        store
    }

    fn ask(store: &dyn Store, what: &str) -> bool {
        let words: Vec<&str> = what.split(' ').collect();
        let (group, resource) = words[1].split_once(':').unwrap_or(("", words[1]));
        let (resource, below) = resource.split_once('/').unwrap_or((resource, ""));
        let asked = Attributes {
            verb: words[0].into(),
            group: group.into(),
            resource: resource.into(),
            subresource: below.into(),
            namespace: words[2].trim_matches('-').into(),
            name: words.get(3).copied().unwrap_or_default().into(),
            path: String::new(),
        };
        check(store, "n1", &asked).is_ok()
    }

    #[tokio::test]
    async fn a_node_reads_what_its_pods_refer_to() {
        let store = store().await;
        for name in ["pull", "vol", "proj", "all", "key"] {
            assert!(ask(&store, &format!("get secrets default {name}")), "{name}");
            assert!(!ask(&store, &format!("get secrets other {name}")), "{name}");
            assert!(!ask(&store, &format!("get configmaps default {name}")), "{name}");
        }
        for name in ["map", "ca", "every", "one"] {
            assert!(ask(&store, &format!("get configmaps default {name}")), "{name}");
        }
        assert!(ask(&store, "create serviceaccounts/token default acc"));
        for denied in [
            "get secrets default other",
            "list secrets default",
            "watch configmaps default",
            "create serviceaccounts/token default admin",
            "create serviceaccounts/token kube-system acc",
        ] {
            assert!(!ask(&store, denied), "{denied}");
        }
    }

    #[tokio::test]
    async fn a_node_writes_what_is_its_own() {
        let store = store().await;
        for allowed in [
            "get nodes - n2",
            "patch nodes/status - n1",
            "create nodes -",
            "update coordination.k8s.io:leases kube-node-lease n1",
            "patch pods/status default mine",
            "delete pods default mine",
            "delete pods default none",
            "get pods default theirs",
            "create events default",
        ] {
            assert!(ask(&store, allowed), "{allowed}");
        }
        for denied in [
            "patch nodes/status - n2",
            "update nodes - n2",
            "update coordination.k8s.io:leases kube-node-lease n2",
            "get coordination.k8s.io:leases kube-system n1",
            "patch pods/status default theirs",
            "delete pods default theirs",
        ] {
            assert!(!ask(&store, denied), "{denied}");
        }
    }

    #[test]
    fn a_node_creates_itself_only() {
        let node = User::new("system:node:n1", [GROUP]);
        assert!(check_create(&node, "", "nodes", "n1").is_ok());
        assert_eq!(
            check_create(&node, "", "nodes", "n2").unwrap_err(),
            "node \"n1\" is not allowed to modify node \"n2\""
        );
        assert!(check_create(&node, "coordination.k8s.io", "leases", "n2").is_err());
        assert!(check_create(&node, "", "events", "e").is_ok());
        assert!(check_create(&User::new("system:node:n1", ["x"]), "", "nodes", "n2").is_ok());
    }
}
