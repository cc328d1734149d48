//! Who asks and what they ask for.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An authenticated user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:default:web`, or a certificate's common name.
    pub name: String,
    /// The uid, of service accounts only; else empty.
    pub uid: String,
    /// The groups, `system:authenticated` among them.
    pub groups: Vec<String>,
    /// What else is known, such as the Pod a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user as a client certificate names them: CN and the Os. `system:authenticated` is added.
    #[must_use]
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let authenticated = "system:authenticated".to_owned();
        if !groups.contains(&authenticated) {
            groups.push(authenticated);
        }
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// Who sends no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            ..Self::default()
        }
    }

    /// Is the user in a group?
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// May the user do everything?
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.is_in("system:masters")
    }

    /// The user as `userInfo` of a review.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut info = json!({"username": self.name});
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`, …; for a
    /// non-resource path the HTTP method in lower case.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, such as `pods`; empty for a non-resource path.
    pub resource: String,
    /// Such as `log`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped kinds and requests across all namespaces.
    pub namespace: String,
    /// The object's name; empty where none is named.
    pub name: String,
    /// The URL's path; decides alone when `resource` is empty.
    pub path: String,
}

impl Attributes {
    /// The resource as rules and denials name it: `pods/log`.
    #[must_use]
    pub fn resource_name(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The denial, in Kubernetes' words, to be put behind `… is forbidden: `.
    #[must_use]
    pub fn denial(&self, user: &str) -> String {
        if self.resource.is_empty() {
            return format!("User \"{user}\" cannot {} path \"{}\"", self.verb, self.path);
        }
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        let resource = self.resource_name();
        format!(
            "User \"{user}\" cannot {} resource \"{resource}\" in API group \"{}\" {scope}",
            self.verb, self.group
        )
    }

    /// What a user needs for an `Impersonate-User`, `-Group`, `-Uid` or `-Extra-…` header: the verb `impersonate`
    /// on the thing to be. A service account's name asks for `serviceaccounts` of its namespace.
    #[must_use]
    pub fn impersonations(target: &User) -> Vec<Self> {
        let one = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| Self {
            verb: "impersonate".into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
            path: String::new(),
        };
        let mut list = Vec::new();
        let account =
            target.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) => list.push(one("", "serviceaccounts", "", namespace, name)),
            None => list.push(one("", "users", "", "", &target.name)),
        }
        list.extend(target.groups.iter().map(|g| one("", "groups", "", "", g)));
        let authentication = "authentication.k8s.io";
        if !target.uid.is_empty() {
            list.push(one(authentication, "uids", "", "", &target.uid));
        }
        for (key, values) in &target.extra {
            list.extend(values.iter().map(|value| one(authentication, "userextras", key, "", value)));
        }
        list
    }
}
