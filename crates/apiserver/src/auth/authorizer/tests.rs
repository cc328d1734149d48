//! Roles and bindings, and what they grant.

use super::*;
use crate::kinds::RBAC;
use crate::registry::key::object_key;
use sealane_storage::{MemoryStore, Op};
use serde_json::json;

async fn put(store: &MemoryStore, plural: &str, namespace: &str, object: Value) {
    let key = object_key(RBAC, plural, namespace, object["metadata"]["name"].as_str().unwrap());
    store.txn(vec![], vec![Op::Put(key, object.to_string().into())]).await.unwrap();
}

fn ask(verb: &str, resource: &str, namespace: &str) -> Attributes {
    Attributes {
        verb: verb.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        ..Attributes::default()
    }
}

fn reader(namespace: &str, resource: &str) -> Value {
    json!({"metadata": {"name": "reader", "namespace": namespace},
        "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": [resource]}]})
}

/// Rights come with a binding and go with it, in its namespace only.
#[tokio::test]
async fn follows_the_store() {
    let store = Arc::new(MemoryStore::new());
    let authorizer = Authorizer::new(store.clone());
    let user = User::new("system:serviceaccount:default:web", ["system:serviceaccounts"]);
    let denial = "User \"system:serviceaccount:default:web\" cannot list resource \"endpoints\" in API group \
                  \"\" in the namespace \"default\"";
    let asked = ask("list", "endpoints", "default");
    assert_eq!(authorizer.authorize(&user, &asked), Err(denial.to_owned()));
    put(&store, "roles", "default", reader("default", "endpoints")).await;
    let binding = json!({"metadata": {"name": "b", "namespace": "default"},
        "roleRef": {"kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "web"}]});
    put(&store, "rolebindings", "default", binding).await;
    assert_eq!(
        authorizer.decide(&user, &asked).unwrap(),
        "RBAC: allowed by RoleBinding \"b/default\" of Role \"reader\" to User \
         \"system:serviceaccount:default:web\""
    );
    assert!(authorizer.authorize(&user, &ask("list", "endpoints", "other")).is_err());
    assert!(authorizer.authorize(&user, &ask("list", "endpoints", "")).is_err());
    assert!(authorizer.authorize(&user, &ask("delete", "endpoints", "default")).is_err());
    put(&store, "roles", "default", reader("default", "pods")).await;
    assert!(authorizer.authorize(&user, &asked).is_err());
    assert!(authorizer.authorize(&user, &ask("get", "pods", "default")).is_ok());
    let key = object_key(RBAC, "rolebindings", "default", "b");
    store.txn(vec![], vec![Op::Delete(key)]).await.unwrap();
    assert!(authorizer.authorize(&user, &ask("get", "pods", "default")).is_err());
}

#[tokio::test]
async fn aggregates_by_label_and_masters_may_all() {
    let store = Arc::new(MemoryStore::new());
    let authorizer = Authorizer::new(store.clone());
    let view = json!({"metadata": {"name": "view"}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}});
    put(&store, "clusterroles", "", view).await;
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "viewers"}]});
    put(&store, "clusterrolebindings", "", binding).await;
    let user = User::new("ann", ["viewers"]);
    assert!(authorizer.authorize(&user, &ask("get", "pods", "default")).is_err());
    let mut more = reader("", "pods");
    more["metadata"] = json!({"name": "more", "labels": {"to-view": "true"}});
    put(&store, "clusterroles", "", more).await;
    assert!(authorizer.authorize(&user, &ask("get", "pods", "default")).is_ok());
    assert!(authorizer.authorize(&user, &ask("get", "pods", "")).is_ok());
    let master = User::new("kubernetes-admin", ["system:masters"]);
    assert!(authorizer.authorize(&master, &ask("delete", "nodes", "")).is_ok());
}

/// A watch that ended (it was too slow) is made anew.
#[tokio::test]
async fn survives_the_end_of_its_watch() {
    let store = Arc::new(MemoryStore::new());
    let authorizer = Authorizer::new(store.clone());
    let user = User::new("ann", ["g"]);
    assert!(authorizer.authorize(&user, &ask("get", "pods", "a")).is_err());
    authorizer.state.lock().unwrap().watch = Some(tokio::sync::mpsc::channel(1).1);
    put(&store, "clusterroles", "", reader("", "pods")).await;
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "User", "name": "ann"}]});
    put(&store, "clusterrolebindings", "", binding).await;
    assert!(authorizer.authorize(&user, &ask("get", "pods", "a")).is_ok());
}
