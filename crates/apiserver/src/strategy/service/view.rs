//! What the rules about Services ask of one.

use crate::strategy::access::{at, has, int, list, strings, text};
use serde_json::Value;

/// A Service, to be read.
#[derive(Clone, Copy)]
pub(crate) struct ServiceView<'a> {
    /// The whole object.
    pub(crate) object: &'a Value,
    /// Its `spec`.
    pub(crate) spec: &'a Value,
}

impl<'a> ServiceView<'a> {
    pub(crate) fn new(object: &'a Value) -> Self {
        Self { object, spec: at(object, &["spec"]) }
    }

    pub(crate) fn name(&self) -> &'a str {
        text(at(self.object, &["metadata"]), "name")
    }

    pub(crate) fn namespace(&self) -> &'a str {
        text(at(self.object, &["metadata"]), "namespace")
    }

    /// `spec.type`.
    pub(crate) fn kind(&self) -> &'a str {
        text(self.spec, "type")
    }

    pub(crate) fn ports(&self) -> &'a [Value] {
        list(self.spec, "ports")
    }

    pub(crate) fn cluster_ip(&self) -> &'a str {
        text(self.spec, "clusterIP")
    }

    pub(crate) fn cluster_ips(&self) -> Vec<&'a str> {
        strings(self.spec, "clusterIPs")
    }

    pub(crate) fn families(&self) -> Vec<&'a str> {
        strings(self.spec, "ipFamilies")
    }

    pub(crate) fn family_policy(&self) -> &'a str {
        text(self.spec, "ipFamilyPolicy")
    }

    pub(crate) fn is_headless(&self) -> bool {
        self.cluster_ips() == ["None"]
    }

    pub(crate) fn has_selector(&self) -> bool {
        at(self.spec, &["selector"]).as_object().is_some_and(|s| !s.is_empty())
    }

    pub(crate) fn needs_cluster_ip(&self) -> bool {
        self.kind() != "ExternalName"
    }

    pub(crate) fn needs_node_port(&self) -> bool {
        matches!(self.kind(), "NodePort" | "LoadBalancer")
    }

    pub(crate) fn is_load_balancer(&self) -> bool {
        self.kind() == "LoadBalancer"
    }

    /// Reachable from outside: only then is there an `externalTrafficPolicy`.
    pub(crate) fn is_external(&self) -> bool {
        self.needs_node_port() || (self.kind() == "ClusterIP" && !list(self.spec, "externalIPs").is_empty())
    }

    pub(crate) fn needs_health_check(&self) -> bool {
        self.is_load_balancer() && text(self.spec, "externalTrafficPolicy") == "Local"
    }

    /// May node ports be drawn for ports that name none?
    pub(crate) fn allocates_node_ports(&self) -> bool {
        match self.kind() {
            "NodePort" => true,
            "LoadBalancer" => at(self.spec, &["allocateLoadBalancerNodePorts"]).as_bool().unwrap_or(true),
            _ => false,
        }
    }

    /// The node ports in the order of the ports, 0 left out.
    pub(crate) fn node_ports(&self) -> Vec<i64> {
        self.ports().iter().map(|p| int(p, "nodePort")).filter(|p| *p != 0).collect()
    }

    pub(crate) fn health_check_port(&self) -> i64 {
        int(self.spec, "healthCheckNodePort")
    }

    /// Is a field of the spec the same in both, absent and null being equal?
    pub(crate) fn same(&self, other: &Self, key: &str) -> bool {
        let absent = !has(self.spec, key) && !has(other.spec, key);
        absent || at(self.spec, &[key]) == at(other.spec, &[key])
    }

    pub(crate) fn same_cluster_ips(&self, other: &Self) -> bool {
        self.cluster_ips() == other.cluster_ips()
    }

    pub(crate) fn same_families(&self, other: &Self) -> bool {
        self.families() == other.families()
    }
}
