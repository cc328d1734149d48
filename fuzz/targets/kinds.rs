//! The kinds whose bodies are fuzzed, chosen by an input's first byte: group, version, kind.

/// Kinds that between them reach every shape of field: maps, lists, quantities, times, int-or-strings, free JSON, bytes.
pub const KINDS: [(&str, &str, &str); 16] = [
    ("", "v1", "Service"),
    ("", "v1", "Pod"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Secret"),
    ("", "v1", "Namespace"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Node"),
    ("", "v1", "Endpoints"),
    ("", "v1", "Event"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
    ("coordination.k8s.io", "v1", "Lease"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    ("authentication.k8s.io", "v1", "TokenRequest"),
];

/// The kind that the first byte names, and the rest.
pub fn choose(data: &[u8]) -> Option<((&'static str, &'static str, &'static str), &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((KINDS[usize::from(*first) % KINDS.len()], rest))
}
