//! Network policies, ingresses and ServiceCIDRs.

use super::{Labels, Meta, list, nullable};
use serde::Deserialize;

/// A label selector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be equal.
    #[serde(deserialize_with = "nullable")]
    pub match_labels: Labels,
    /// What else must hold.
    #[serde(deserialize_with = "list")]
    pub match_expressions: Vec<Requirement>,
}

/// One expression of a label selector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values.
    #[serde(deserialize_with = "list")]
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether it selects an object with these labels; an empty one selects everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // unknown to us: better to say nothing of what it may select
            _ => false,
        }
    }
}

/// A NetworkPolicy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NetworkPolicy {
    /// Its metadata.
    pub metadata: Meta,
    /// What it allows.
    pub spec: PolicySpec,
}

/// `NetworkPolicySpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicySpec {
    /// The Pods that it isolates.
    #[serde(deserialize_with = "nullable")]
    pub pod_selector: LabelSelector,
    /// Directions; absent is `Ingress`, and `Egress` if there are egress rules.
    #[serde(deserialize_with = "list")]
    pub policy_types: Vec<String>,
    /// Who may come in: any of them.
    #[serde(deserialize_with = "list")]
    pub ingress: Vec<PolicyRule>,
}

/// `NetworkPolicyIngressRule`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PolicyRule {
    /// The ports; none means all.
    #[serde(deserialize_with = "list")]
    pub ports: Vec<PolicyPort>,
}

/// `NetworkPolicyPort`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyPort {
    /// Absent is every port.
    pub port: Option<super::TargetPort>,
    /// The last one of a range.
    pub end_port: Option<u32>,
    /// Absent is TCP.
    pub protocol: Option<String>,
}

/// An Ingress.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// Its metadata.
    pub metadata: Meta,
    /// Where it leads.
    pub spec: IngressSpec,
}

/// `IngressSpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressSpec {
    /// For what no rule is for.
    pub default_backend: Option<Backend>,
    /// The rules.
    #[serde(deserialize_with = "list")]
    pub rules: Vec<IngressRule>,
}

/// `IngressRule`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// Its paths.
    pub http: Option<Http>,
}

/// `HTTPIngressRuleValue`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Http {
    /// The paths.
    #[serde(deserialize_with = "list")]
    pub paths: Vec<HttpPath>,
}

/// `HTTPIngressPath`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct HttpPath {
    /// Where it leads.
    pub backend: Backend,
}

/// `IngressBackend`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// A Service.
    pub service: Option<BackendService>,
}

/// `IngressServiceBackend`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BackendService {
    /// Its name.
    pub name: String,
}

impl Ingress {
    /// The Services that it leads to.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let paths = self.spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
        let backends = self.spec.default_backend.iter().chain(paths.map(|path| &path.backend));
        backends.filter_map(|backend| backend.service.as_ref()).map(|service| service.name.as_str())
    }
}

/// A ServiceCIDR (KEP-1880).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceCidr {
    /// Its metadata.
    pub metadata: Meta,
    /// Its ranges.
    pub spec: CidrSpec,
}

/// `ServiceCIDRSpec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CidrSpec {
    /// Ranges such as `10.96.0.0/16`.
    #[serde(deserialize_with = "list")]
    pub cidrs: Vec<String>,
}
