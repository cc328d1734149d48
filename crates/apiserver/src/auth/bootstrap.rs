//! The roles and bindings that a cluster starts with (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`), as far as
//! the served kinds go.

use crate::kinds::RBAC;
use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// What `view` reads besides Secrets: those would be the tokens of other accounts.
const CORE: &[&str] = &[
    "configmaps",
    "endpoints",
    "events",
    "pods",
    "pods/log",
    "pods/status",
    "serviceaccounts",
    "services",
    "services/status",
];
const APPS: &[&str] = &[
    "deployments",
    "deployments/scale",
    "deployments/status",
    "replicasets",
    "replicasets/scale",
    "replicasets/status",
];

/// The Roles, ClusterRoles and bindings of a new cluster.
#[must_use]
pub fn bootstrap_policy() -> Vec<Value> {
    let mut policy = user_facing();
    policy.extend(discovery());
    policy.extend(node());
    policy
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn urls(urls: &[&str]) -> Value {
    json!({"nonResourceURLs": urls, "verbs": ["get"]})
}

fn object(kind: &str, namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata})
}

fn cluster_role(name: &str, rules: Vec<Value>) -> Value {
    let mut role = object("ClusterRole", "", name);
    role["rules"] = Value::Array(rules);
    role
}

/// A role that other ClusterRoles add to by a label.
fn aggregated(name: &str, rules: Vec<Value>) -> Value {
    let mut role = cluster_role(name, rules);
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    role
}

fn bound_to_groups(mut binding: Value, role_kind: &str, role: &str, groups: &[&str]) -> Value {
    binding["roleRef"] = json!({"apiGroup": RBAC, "kind": role_kind, "name": role});
    let subject = |group: &&str| json!({"apiGroup": RBAC, "kind": "Group", "name": group});
    binding["subjects"] = groups.iter().map(subject).collect();
    binding
}

fn cluster_binding(role: &str, groups: &[&str]) -> Value {
    bound_to_groups(object("ClusterRoleBinding", "", role), "ClusterRole", role, groups)
}

fn view_rules() -> Vec<Value> {
    vec![
        rule(&[""], CORE, READ),
        rule(&[""], &["namespaces", "namespaces/status"], READ),
        rule(&["apps"], APPS, READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], READ),
    ]
}

fn edit_rules() -> Vec<Value> {
    let written = ["configmaps", "events", "pods", "secrets", "serviceaccounts", "services"];
    let mut rules = view_rules();
    rules.extend([
        rule(&[""], &["secrets", "pods/attach", "pods/exec"], READ),
        rule(&[""], &["pods/attach", "pods/exec"], WRITE),
        rule(&[""], &written, WRITE),
        rule(&[""], &["pods/eviction", "serviceaccounts/token"], &["create"]),
        rule(&[""], &["serviceaccounts"], &["impersonate"]),
        rule(&["apps"], &["deployments", "deployments/scale", "replicasets", "replicasets/scale"], WRITE),
        rule(&["coordination.k8s.io"], &["leases"], READ),
        rule(&["coordination.k8s.io"], &["leases"], WRITE),
    ]);
    rules
}

fn user_facing() -> Vec<Value> {
    let mut admin = edit_rules();
    admin.push(rule(&[RBAC], &["roles", "rolebindings"], READ));
    admin.push(rule(&[RBAC], &["roles", "rolebindings"], WRITE));
    admin.push(rule(&["authorization.k8s.io"], &["localsubjectaccessreviews"], &["create"]));
    let everything = vec![rule(&["*"], &["*"], &["*"]), json!({"nonResourceURLs": ["*"], "verbs": ["*"]})];
    vec![
        cluster_role("cluster-admin", everything),
        cluster_binding("cluster-admin", &["system:masters"]),
        aggregated("admin", admin),
        aggregated("edit", edit_rules()),
        aggregated("view", view_rules()),
    ]
}

/// What everybody may: find out what the API has, who they are and what they may. Service accounts get no more.
fn discovery() -> Vec<Value> {
    let public = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let reviews = vec![
        rule(
            &["authorization.k8s.io"],
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            &["create"],
        ),
        rule(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
    ];
    vec![
        cluster_role("system:public-info-viewer", vec![urls(&public)]),
        cluster_binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
        cluster_role("system:discovery", vec![urls(&discovery)]),
        cluster_binding("system:discovery", &["system:authenticated"]),
        cluster_role("system:monitoring", vec![urls(&["/healthz", "/livez", "/metrics", "/readyz"])]),
        cluster_binding("system:monitoring", &["system:monitoring"]),
        cluster_role("system:basic-user", reviews),
        cluster_binding("system:basic-user", &["system:authenticated"]),
    ]
}

/// What a node's agent, proxy and DNS need.
fn node() -> Vec<Value> {
    let rules = vec![
        rule(&[""], &["nodes"], &["create", "get", "list", "patch", "update", "watch"]),
        rule(&[""], &["nodes/status", "pods/status"], &["patch", "update"]),
        rule(&[""], &["pods"], &["delete", "get", "list", "watch"]),
        rule(
            &[""],
            &["configmaps", "endpoints", "namespaces", "secrets", "serviceaccounts", "services"],
            READ,
        ),
        rule(&[""], &["serviceaccounts/token"], &["create"]),
        rule(&["discovery.k8s.io"], &["endpointslices"], READ),
        rule(&["networking.k8s.io"], &["servicecidrs"], READ),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        rule(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
        rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
        urls(&["/sealane/*"]),
    ];
    let leases = "system:node-leases";
    let mut lease_role = object("Role", "kube-node-lease", leases);
    let verbs = ["create", "get", "list", "patch", "update", "watch"];
    lease_role["rules"] = json!([rule(&["coordination.k8s.io"], &["leases"], &verbs)]);
    let lease_binding = object("RoleBinding", "kube-node-lease", leases);
    vec![
        cluster_role("system:node", rules),
        cluster_binding("system:node", &["system:nodes"]),
        lease_role,
        bound_to_groups(lease_binding, "Role", leases, &["system:nodes"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Attributes, Authorizer, User};
    use crate::registry::key::object_key;
    use crate::strategy::for_kind;
    use sealane_storage::{MemoryStore, Op, Store};
    use std::sync::Arc;

    async fn cluster() -> Authorizer {
        let store = Arc::new(MemoryStore::new());
        for mut object in bootstrap_policy() {
            let kind = object["kind"].as_str().unwrap().to_owned();
            let strategy = for_kind(RBAC, &kind);
            strategy.default(&mut object);
            assert_eq!(strategy.validate(&object), [], "{object}");
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let plural = format!("{}s", kind.to_lowercase());
            let key = object_key(RBAC, &plural, namespace, object["metadata"]["name"].as_str().unwrap());
            assert!(store.get(&key).is_none(), "{key} is there twice");
            store.txn(vec![], vec![Op::Put(key, object.to_string().into())]).await.unwrap();
        }
        Authorizer::new(store)
    }

    fn may(authorizer: &Authorizer, user: &User, what: &str) -> bool {
        let words: Vec<&str> = what.split(' ').collect();
        let mut asked = Attributes { verb: words[0].into(), ..Attributes::default() };
        if words[1].starts_with('/') {
            asked.path = words[1].into();
        } else {
            let (group, resource) = words[1].split_once(':').unwrap_or(("", words[1]));
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            asked.group = group.into();
            asked.resource = resource.into();
            asked.subresource = subresource.into();
            asked.namespace = words.get(2).copied().unwrap_or_default().into();
        }
        authorizer.authorize(user, &asked).is_ok()
    }

    #[tokio::test]
    async fn an_account_may_discover_and_review_itself_and_no_more() {
        let authorizer = cluster().await;
        let user = User::new("system:serviceaccount:default:default", ["system:serviceaccounts"]);
        for allowed in [
            "get /api",
            "get /apis/apps/v1",
            "get /openapi/v3",
            "get /version",
            "create authorization.k8s.io:selfsubjectaccessreviews",
            "create authentication.k8s.io:selfsubjectreviews",
        ] {
            assert!(may(&authorizer, &user, allowed), "{allowed}");
        }
        for denied in [
            "get endpoints default",
            "list pods default",
            "list namespaces",
            "get /metrics",
            "get /sealane/v1/tunnel",
            "create authentication.k8s.io:tokenreviews",
            "get nodes",
            "get secrets default",
            "post /api",
        ] {
            assert!(!may(&authorizer, &user, denied), "{denied}");
        }
        let nobody = User::anonymous();
        assert!(may(&authorizer, &nobody, "get /version"));
        assert!(!may(&authorizer, &nobody, "get /api"));
    }

    #[tokio::test]
    async fn a_node_may_what_its_agent_needs() {
        let authorizer = cluster().await;
        let user = User::new("system:node:node-1", ["system:nodes"]);
        for allowed in [
            "watch pods",
            "patch pods/status default",
            "delete pods default",
            "create nodes",
            "patch nodes/status",
            "create coordination.k8s.io:leases kube-node-lease",
            "patch coordination.k8s.io:leases kube-node-lease",
            "create events default",
            "create events.k8s.io:events default",
            "watch discovery.k8s.io:endpointslices",
            "list namespaces",
            "watch services",
            "get /sealane/v1/tunnel",
        ] {
            assert!(may(&authorizer, &user, allowed), "{allowed}");
        }
        for denied in [
            "create pods/binding default",
            "create pods default",
            "patch services default",
            "delete nodes",
            "patch coordination.k8s.io:leases default",
            "create secrets default",
            // no Pod of the node refers to one
            "get secrets default",
            "list secrets default",
            "create serviceaccounts/token default",
        ] {
            assert!(!may(&authorizer, &user, denied), "{denied}");
        }
    }

    #[tokio::test]
    async fn nobody_grants_what_they_do_not_have() {
        let authorizer = cluster().await;
        let admin = authorizer.role_rules(&json!({"kind": "ClusterRole", "name": "admin"}), "").unwrap();
        assert!(!admin.is_empty());
        let user = User::new("ann", ["x"]);
        let role = json!({"metadata": {"name": "r"},
            "rules": [{"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}]});
        authorizer.check_escalation(&user, "Role", "roles", "default", &role, None).unwrap();
        let secrets = json!({"metadata": {"name": "r"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]});
        let error =
            authorizer.check_escalation(&user, "Role", "roles", "default", &secrets, None).unwrap_err();
        assert_eq!(
            error.message,
            "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"x\" \
             \"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
             held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
        );
        authorizer.check_escalation(&user, "Role", "roles", "default", &secrets, Some(&secrets)).unwrap();
        let binding =
            json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}});
        let bind = |user: &User| {
            authorizer.check_escalation(user, "ClusterRoleBinding", "clusterrolebindings", "", &binding, None)
        };
        assert_eq!(bind(&user).unwrap_err().code, 403);
        bind(&User::new("root", ["system:masters"])).unwrap();
    }
}
