//! RBAC over the roles and bindings of the store (`plugin/pkg/auth/authorizer/rbac`).
//!
//! Roles and bindings are indexed once and kept in step by a watch that is drained before each decision, so that a
//! decision costs the bindings of the user's name and groups, not all of them.

use super::rule::{ResolvedRules, Rule};
use super::{Attributes, User, node};
use crate::strategy::access::{at, list, text};
use crate::strategy::workload::matches;
use sealane_storage::{Key, Store, Watch};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::error::TryRecvError;

const PREFIX: &str = "/registry/rbac.authorization.k8s.io/";

/// Decides what users may do.
pub struct Authorizer {
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Option<Watch>,
    policy: Policy,
}

/// A binding: to which role, and how it is called in an explanation.
struct Binding {
    role: String,
    subjects: Vec<String>,
    namespace: String,
    title: String,
}

struct Role {
    rules: Vec<Rule>,
    labels: Value,
    /// The selectors of `aggregationRule`.
    selectors: Vec<Value>,
}

/// All roles and bindings.
#[derive(Default)]
struct Policy {
    /// By key below the prefix: `clusterroles/view`, `roles/default/reader`.
    roles: BTreeMap<String, Role>,
    bindings: HashMap<String, Binding>,
    /// By (subject, namespace), the namespace of ClusterRoleBindings being empty.
    by_subject: HashMap<(String, String), BTreeSet<String>>,
}

impl Authorizer {
    /// An authorizer over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// May the user do this?
    ///
    /// # Errors
    /// The denial in Kubernetes' words, without `… is forbidden: `.
    pub fn authorize(&self, user: &User, asked: &Attributes) -> Result<(), String> {
        let denial = || asked.denial(&user.name);
        self.granted(user, asked).ok_or_else(denial)?;
        self.check_node(user, asked).map_err(|why| format!("{}: {why}", denial()))
    }

    fn check_node(&self, user: &User, asked: &Attributes) -> Result<(), String> {
        node::node_of(user).map_or(Ok(()), |name| node::check(&*self.store, name, asked))
    }

    /// Why the user may do this, or `None`.
    pub fn decide(&self, user: &User, asked: &Attributes) -> Option<String> {
        self.granted(user, asked).filter(|_| self.check_node(user, asked).is_ok())
    }

    fn granted(&self, user: &User, asked: &Attributes) -> Option<String> {
        if user.is_master() {
            return Some(String::new());
        }
        self.with_policy(|policy| {
            let mut grants = policy.grants(user, &asked.namespace);
            grants
                .find(|(_, _, rules)| rules.iter().any(|rule| rule.allows(asked)))
                .map(|(binding, subject, _)| format!("RBAC: allowed by {} to {subject}", binding.title))
        })
    }

    /// All rules that apply to the user in a namespace (cluster-wide ones alone if it is empty).
    pub fn rules(&self, user: &User, namespace: &str) -> ResolvedRules {
        let mut rules: Vec<Rule> = self
            .with_policy(|policy| policy.grants(user, namespace).flat_map(|(_, _, rules)| rules).collect());
        if user.is_master() {
            rules.extend(Rule::everything());
        }
        ResolvedRules { rules }
    }

    /// The rules of a role that a binding in a namespace refers to; `None` if there is no such role.
    pub(super) fn role_rules(&self, role_ref: &Value, namespace: &str) -> Option<Vec<Rule>> {
        let key = role_key(role_ref, namespace);
        self.with_policy(|policy| policy.roles.contains_key(&key).then(|| policy.effective(&key)))
    }

    fn with_policy<T>(&self, read: impl FnOnce(&Policy) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut state);
        read(&state.policy)
    }

    fn refresh(&self, state: &mut State) {
        while let Some(watch) = &mut state.watch {
            match watch.try_recv() {
                Ok(event) => {
                    state.policy.change(&event.key, event.current.as_ref().map(|e| e.value.as_ref()))
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => state.watch = None,
            }
        }
        let Ok(range) = self.store.range(PREFIX, None, 0, None) else { return };
        state.policy = Policy::default();
        for entry in &range.entries {
            state.policy.change(&entry.key, Some(&entry.value));
        }
        state.watch = self.store.watch(PREFIX, range.revision).ok();
    }
}

/// The key of the role that a binding refers to, below the prefix.
fn role_key(role_ref: &Value, namespace: &str) -> String {
    let name = text(role_ref, "name");
    if text(role_ref, "kind") == "ClusterRole" {
        format!("clusterroles/{name}")
    } else {
        format!("roles/{namespace}/{name}")
    }
}

/// A subject of a binding as the index has it; `User` and `Group` may have the same name.
fn subject_key(subject: &Value) -> String {
    let name = text(subject, "name");
    match text(subject, "kind") {
        "Group" => format!("Group \"{name}\""),
        "ServiceAccount" => format!("User \"system:serviceaccount:{}:{name}\"", text(subject, "namespace")),
        _ => format!("User \"{name}\""),
    }
}

impl Policy {
    /// Takes a change of one key in.
    fn change(&mut self, key: &Key, value: Option<&[u8]>) {
        let Some(key) = key.strip_prefix(PREFIX) else { return };
        let object = value.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
        let resource = key.split('/').next().unwrap_or_default();
        match resource {
            "roles" | "clusterroles" => self.change_role(key, object.as_ref()),
            "rolebindings" | "clusterrolebindings" => self.change_binding(key, object.as_ref()),
            _ => {}
        }
    }

    fn change_role(&mut self, key: &str, object: Option<&Value>) {
        let Some(object) = object else {
            self.roles.remove(key);
            return;
        };
        let role = Role {
            rules: Rule::parse_all(object),
            labels: at(object, &["metadata", "labels"]).clone(),
            selectors: list(at(object, &["aggregationRule"]), "clusterRoleSelectors").to_vec(),
        };
        self.roles.insert(key.to_owned(), role);
    }

    fn change_binding(&mut self, key: &str, object: Option<&Value>) {
        if let Some(old) = self.bindings.remove(key) {
            for subject in old.subjects {
                if let Some(keys) = self.by_subject.get_mut(&(subject.clone(), old.namespace.clone())) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.by_subject.remove(&(subject, old.namespace.clone()));
                    }
                }
            }
        }
        let Some(object) = object else { return };
        let role_ref = at(object, &["roleRef"]);
        let metadata = at(object, &["metadata"]);
        let namespace = text(metadata, "namespace").to_owned();
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let scope = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
        let name = format!("{}{scope}", text(metadata, "name"));
        let role = format!("{} \"{}\"", text(role_ref, "kind"), text(role_ref, "name"));
        let subjects: Vec<String> = list(object, "subjects").iter().map(subject_key).collect();
        for subject in &subjects {
            self.by_subject.entry((subject.clone(), namespace.clone())).or_default().insert(key.to_owned());
        }
        let title = format!("{kind} \"{name}\" of {role}");
        self.bindings.insert(
            key.to_owned(),
            Binding { role: role_key(role_ref, &namespace), subjects, namespace, title },
        );
    }

    /// What applies to a user in a namespace: the binding, the subject that it names, the rules.
    fn grants<'a>(
        &'a self,
        user: &User,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a Binding, String, Vec<Rule>)> + use<'a> {
        let groups = user.groups.iter().map(|g| format!("Group \"{g}\""));
        let subjects: Vec<String> =
            std::iter::once(format!("User \"{}\"", user.name)).chain(groups).collect();
        let mut scopes = vec![String::new()];
        if !namespace.is_empty() {
            scopes.push(namespace.to_owned());
        }
        scopes.into_iter().flat_map(move |scope| {
            let each = subjects.clone().into_iter();
            each.flat_map(move |subject| self.bound(subject, scope.clone()))
        })
    }

    fn bound(&self, subject: String, scope: String) -> impl Iterator<Item = (&Binding, String, Vec<Rule>)> {
        let shown = subject.clone();
        let keys = self.by_subject.get(&(subject, scope)).into_iter().flatten();
        keys.filter_map(|key| self.bindings.get(key))
            .map(move |binding| (binding, shown.clone(), self.effective(&binding.role)))
    }

    /// The rules of a role and of the ClusterRoles that it aggregates.
    fn effective(&self, key: &str) -> Vec<Rule> {
        let Some(role) = self.roles.get(key) else { return Vec::new() };
        let mut rules = role.rules.clone();
        if !role.selectors.is_empty() {
            let others = self.roles.iter().filter(|(k, _)| k.starts_with("clusterroles/") && *k != key);
            let chosen = others.filter(|(_, other)| role.selectors.iter().any(|s| matches(s, &other.labels)));
            rules.extend(chosen.flat_map(|(_, other)| other.rules.clone()));
        }
        rules
    }
}

#[cfg(test)]
mod tests;
