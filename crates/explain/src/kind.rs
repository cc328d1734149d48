//! The kinds of objects that causes look at.

/// A kind of object, or what else a snapshot is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Services
    Service,
    /// Pods
    Pod,
    /// EndpointSlices
    EndpointSlice,
    /// Nodes
    Node,
    /// Namespaces
    Namespace,
    /// Deployments
    Deployment,
    /// ReplicaSets
    ReplicaSet,
    /// StatefulSets
    StatefulSet,
    /// DaemonSets
    DaemonSet,
    /// Events that warn
    Event,
    /// Ingresses
    Ingress,
    /// NetworkPolicies
    NetworkPolicy,
    /// ServiceCIDRs
    ServiceCidr,
    /// What nodes of ours say of themselves
    NodeProxy,
    /// The cluster DNS: its Service, slices and Pods in `kube-system`, whatever namespace is looked at
    ClusterDns,
}

impl Kind {
    /// Those that are read as lists, the ones that matter most first.
    pub const LISTED: [Self; 13] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Node,
        Self::Namespace,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Event,
        Self::Ingress,
        Self::NetworkPolicy,
        Self::ServiceCidr,
    ];

    /// Group and version as they stand in a path, and the plural: what `kubectl auth can-i list` is asked about.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Service => ("api/v1", "services"),
            Self::Pod => ("api/v1", "pods"),
            Self::EndpointSlice => ("apis/discovery.k8s.io/v1", "endpointslices"),
            Self::Node => ("api/v1", "nodes"),
            Self::Namespace => ("api/v1", "namespaces"),
            Self::Deployment => ("apis/apps/v1", "deployments"),
            Self::ReplicaSet => ("apis/apps/v1", "replicasets"),
            Self::StatefulSet => ("apis/apps/v1", "statefulsets"),
            Self::DaemonSet => ("apis/apps/v1", "daemonsets"),
            Self::Event => ("api/v1", "events"),
            Self::Ingress => ("apis/networking.k8s.io/v1", "ingresses"),
            Self::NetworkPolicy => ("apis/networking.k8s.io/v1", "networkpolicies"),
            Self::ServiceCidr => ("apis/networking.k8s.io/v1", "servicecidrs"),
            Self::NodeProxy => ("api/v1", "nodes/proxy"),
            Self::ClusterDns => ("api/v1", "services in kube-system"),
        }
    }

    /// Whether its objects lie in namespaces.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node | Self::Namespace | Self::ServiceCidr | Self::NodeProxy | Self::ClusterDns)
    }

    /// Narrows a list to what causes look at.
    pub fn field_selector(self) -> Option<&'static str> {
        (self == Self::Event).then_some("type!=Normal")
    }

    /// The path of its list: in one namespace, or in all.
    pub fn path(self, namespace: Option<&str>) -> String {
        let (group, plural) = self.resource();
        match namespace.filter(|_| self.is_namespaced()) {
            Some(namespace) => format!("/{group}/namespaces/{namespace}/{plural}"),
            None => format!("/{group}/{plural}"),
        }
    }
}
