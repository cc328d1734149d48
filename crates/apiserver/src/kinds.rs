//! The kinds that are served: one row each. Discovery, routing and the registry read this table and nothing else, so a
//! kind without a row does not exist, and a new kind is a row (and a strategy where it has behaviour).

/// How an object of a kind may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// `web`, `web.v1` (RFC 1123 subdomain).
    Subdomain,
    /// `web`, `1web` (RFC 1123 label).
    Label,
    /// `web` (RFC 1035 label: no leading digit).
    Label1035,
    /// Anything that is one path segment: `system:node`.
    PathSegment,
    /// A canonical IP address.
    Address,
}

/// What lies under an object, below its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    /// The status, written apart from the rest.
    Status,
    /// The number of replicas, as an autoscaling/v1 Scale.
    Scale,
    /// Ends a namespace's finalization.
    Finalize,
    /// Binds a Pod to a node.
    Binding,
    /// Deletes a Pod, politely.
    Eviction,
    /// Makes a token of a ServiceAccount.
    Token,
    /// A container's log.
    Log,
    /// Runs a command in a container.
    Exec,
    /// Joins a container's standard streams.
    Attach,
    /// Connects to ports of a Pod.
    PortForward,
    /// Speaks HTTP with a Pod.
    PodProxy,
    /// Speaks HTTP with an endpoint of a Service.
    ServiceProxy,
    /// Speaks HTTP with a node.
    NodeProxy,
}

impl Subresource {
    /// Its last path segment.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
            Self::Binding => "binding",
            Self::Eviction => "eviction",
            Self::Token => "token",
            Self::Log => "log",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::PodProxy | Self::ServiceProxy | Self::NodeProxy => "proxy",
        }
    }

    /// Group, version and kind of what is read and written there, as discovery shows it; empty: the parent's.
    #[must_use]
    pub fn schema(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Status | Self::Finalize | Self::Log => ("", "", ""),
            Self::Scale => ("autoscaling", "v1", "Scale"),
            Self::Binding => ("", "v1", "Binding"),
            Self::Eviction => ("policy", "v1", "Eviction"),
            Self::Token => ("authentication.k8s.io", "v1", "TokenRequest"),
            Self::Exec => ("", "v1", "PodExecOptions"),
            Self::Attach => ("", "v1", "PodAttachOptions"),
            Self::PortForward => ("", "v1", "PodPortForwardOptions"),
            Self::PodProxy => ("", "v1", "PodProxyOptions"),
            Self::ServiceProxy => ("", "v1", "ServiceProxyOptions"),
            Self::NodeProxy => ("", "v1", "NodeProxyOptions"),
        }
    }

    /// Whether it takes objects: those that are streams and proxies take anything.
    #[must_use]
    pub fn takes_objects(self) -> bool {
        matches!(
            self,
            Self::Status | Self::Scale | Self::Finalize | Self::Binding | Self::Eviction | Self::Token
        )
    }

    /// The verbs it takes.
    #[must_use]
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Status | Self::Scale => &["get", "patch", "update"],
            Self::Finalize => &["update"],
            Self::Binding | Self::Eviction | Self::Token => &["create"],
            Self::Log => &["get"],
            Self::Exec | Self::Attach | Self::PortForward => &["create", "get"],
            Self::PodProxy | Self::ServiceProxy | Self::NodeProxy => {
                &["create", "delete", "get", "patch", "update"]
            }
        }
    }
}

/// One kind.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for core.
    pub group: &'static str,
    /// The versions served, the preferred one first.
    pub versions: &'static [&'static str],
    /// `Service`.
    pub kind: &'static str,
    /// `services`.
    pub plural: &'static str,
    /// `service`.
    pub singular: &'static str,
    /// `svc`.
    pub short_names: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether its objects are stored; a review is answered and forgotten.
    pub stored: bool,
    /// What lies below its objects.
    pub subresources: &'static [Subresource],
    /// How its objects may be called.
    pub names: NameRule,
    /// Paths that a field selector may name besides `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
    /// Whether PUT creates what is not there (`AllowCreateOnUpdate` of the strategies).
    pub put_creates: bool,
    /// Whether DELETE answers with the object rather than with a Status.
    pub delete_returns_object: bool,
    /// The group under which objects are stored, if it is another kind's storage (events.k8s.io).
    pub storage_group: &'static str,
    /// Whether the strategy mends objects as they are read, so that stored bytes cannot be served as they are.
    pub mended: bool,
}

/// The verbs of a stored kind, as discovery lists them.
pub const STORED_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

impl Kind {
    /// `services` or `deployments.apps`.
    #[must_use]
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `v1` or `apps/v1`, for a version.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The version in which its objects are stored.
    #[must_use]
    pub fn stored_version(&self) -> &'static str {
        self.versions[0]
    }

    /// `v1` or `apps/v1`, as it stands in stored objects.
    #[must_use]
    pub fn stored_api_version(&self) -> String {
        if self.storage_group == self.group {
            self.api_version(self.stored_version())
        } else if self.storage_group.is_empty() {
            "v1".to_owned()
        } else {
            format!("{}/v1", self.storage_group)
        }
    }

    /// Whether it has this subresource.
    #[must_use]
    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    /// The verbs it takes.
    #[must_use]
    pub fn verbs(&self) -> &'static [&'static str] {
        if self.stored { STORED_VERBS } else { &["create"] }
    }
}

/// The kind at this group, version and plural.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.plural == plural && k.group == group && k.versions.contains(&version))
}

/// The kind of this group and name.
#[must_use]
pub fn of(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.kind == kind && k.group == group)
}

/// The groups and versions served, core first, then by name; the preferred version of a group first.
#[must_use]
pub fn group_versions() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for kind in KINDS {
        let versions = groups.entry(kind.group).or_default();
        for version in kind.versions {
            if !versions.contains(version) {
                versions.push(version);
            }
        }
    }
    groups.into_iter().collect()
}

const fn kind(group: &'static str, kind: &'static str, plural: &'static str, singular: &'static str) -> Kind {
    Kind {
        group,
        versions: &["v1"],
        kind,
        plural,
        singular,
        short_names: &[],
        in_all: false,
        namespaced: true,
        stored: true,
        subresources: &[],
        names: NameRule::Subdomain,
        fields: &[],
        put_creates: false,
        delete_returns_object: false,
        storage_group: group,
        mended: false,
    }
}

const fn review(
    group: &'static str,
    name: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind { stored: false, namespaced: false, ..kind(group, name, plural, singular) }
}

/// The group of roles and their bindings.
pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// The table.
pub const KINDS: &[Kind] = &[
    Kind { short_names: &["cm"], ..kind("", "ConfigMap", "configmaps", "configmap") },
    Kind { short_names: &["ep"], put_creates: true, ..kind("", "Endpoints", "endpoints", "endpoints") },
    Kind {
        short_names: &["ev"],
        fields: EVENT_FIELDS,
        put_creates: true,
        ..kind("", "Event", "events", "event")
    },
    Kind {
        short_names: &["ns"],
        namespaced: false,
        names: NameRule::Label,
        subresources: &[Subresource::Status, Subresource::Finalize],
        fields: &["status.phase"],
        ..kind("", "Namespace", "namespaces", "namespace")
    },
    Kind {
        short_names: &["no"],
        namespaced: false,
        subresources: &[Subresource::Status, Subresource::NodeProxy],
        fields: &["spec.unschedulable"],
        ..kind("", "Node", "nodes", "node")
    },
    Kind {
        short_names: &["po"],
        in_all: true,
        subresources: &[
            Subresource::Status,
            Subresource::Binding,
            Subresource::Eviction,
            Subresource::Log,
            Subresource::Exec,
            Subresource::Attach,
            Subresource::PortForward,
            Subresource::PodProxy,
        ],
        fields: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        delete_returns_object: true,
        ..kind("", "Pod", "pods", "pod")
    },
    Kind { fields: &["type"], ..kind("", "Secret", "secrets", "secret") },
    Kind {
        short_names: &["sa"],
        subresources: &[Subresource::Token],
        delete_returns_object: true,
        ..kind("", "ServiceAccount", "serviceaccounts", "serviceaccount")
    },
    Kind {
        short_names: &["svc"],
        in_all: true,
        names: NameRule::Label1035,
        subresources: &[Subresource::Status, Subresource::ServiceProxy],
        fields: &["spec.clusterIP", "spec.type"],
        put_creates: true,
        delete_returns_object: true,
        ..kind("", "Service", "services", "service")
    },
    Kind {
        short_names: &["deploy"],
        in_all: true,
        subresources: &[Subresource::Status, Subresource::Scale],
        ..kind("apps", "Deployment", "deployments", "deployment")
    },
    Kind {
        short_names: &["rs"],
        in_all: true,
        subresources: &[Subresource::Status, Subresource::Scale],
        fields: &["status.replicas"],
        ..kind("apps", "ReplicaSet", "replicasets", "replicaset")
    },
    review(AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
    review(AUTHENTICATION, "TokenReview", "tokenreviews", "tokenreview"),
    Kind {
        namespaced: true,
        ..review(
            AUTHORIZATION,
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
        )
    },
    review(AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
    review(AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
    review(AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
    Kind { put_creates: true, ..kind("coordination.k8s.io", "Lease", "leases", "lease") },
    Kind { mended: true, ..kind("discovery.k8s.io", "EndpointSlice", "endpointslices", "endpointslice") },
    Kind {
        short_names: &["ev"],
        fields: &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        storage_group: "",
        put_creates: true,
        ..kind("events.k8s.io", "Event", "events", "event")
    },
    Kind {
        versions: &["v1", "v1beta1"],
        short_names: &["ip"],
        namespaced: false,
        names: NameRule::Address,
        ..kind(NETWORKING, "IPAddress", "ipaddresses", "ipaddress")
    },
    Kind {
        versions: &["v1", "v1beta1"],
        namespaced: false,
        subresources: &[Subresource::Status],
        ..kind(NETWORKING, "ServiceCIDR", "servicecidrs", "servicecidr")
    },
    Kind {
        namespaced: false,
        names: NameRule::PathSegment,
        put_creates: true,
        ..kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding")
    },
    Kind {
        namespaced: false,
        names: NameRule::PathSegment,
        put_creates: true,
        ..kind(RBAC, "ClusterRole", "clusterroles", "clusterrole")
    },
    Kind {
        names: NameRule::PathSegment,
        put_creates: true,
        ..kind(RBAC, "RoleBinding", "rolebindings", "rolebinding")
    },
    Kind { names: NameRule::PathSegment, put_creates: true, ..kind(RBAC, "Role", "roles", "role") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_and_unique() {
        for kind in KINDS {
            for version in kind.versions {
                let found = find(kind.group, version, kind.plural).expect("a row finds itself");
                assert!(
                    std::ptr::eq(found, of(kind.group, kind.kind).unwrap()),
                    "{} is there twice",
                    kind.kind
                );
            }
        }
        assert_eq!(group_versions()[0].0, "");
        let networking = group_versions().into_iter().find(|(g, _)| *g == NETWORKING).unwrap();
        assert_eq!(networking.1, ["v1", "v1beta1"]);
    }
}
