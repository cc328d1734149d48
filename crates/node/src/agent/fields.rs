//! The downward API: fields of a Pod and resources of its containers as text
//! (pkg/fieldpath and pkg/api/v1/resource in Kubernetes).

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use super::quantity;

/// The addresses that a Pod can ask for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Addresses {
    /// The Pod's.
    pub(crate) pod: Vec<IpAddr>,
    /// Its node's.
    pub(crate) node: Vec<IpAddr>,
    /// Its node's name.
    pub(crate) node_name: String,
}

/// What the node can give to Pods.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Allocatable {
    /// Thousandths of a CPU.
    pub(crate) cpu_millicores: u64,
    /// Bytes.
    pub(crate) memory_bytes: u64,
    /// Bytes.
    pub(crate) ephemeral_storage_bytes: u64,
}

/// The container or init container called `name`.
pub(crate) fn container<'a>(pod: &'a Pod, name: Option<&str>) -> Option<&'a Container> {
    let (name, spec) = (name.filter(|n| !n.is_empty())?, pod.spec.as_ref()?);
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name)
}

/// The value of one field of the Pod.
///
/// # Errors
/// When the path is not one that the downward API knows.
pub(crate) fn field(pod: &Pod, path: &str, addresses: &Addresses) -> Result<String, String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let first = |list: &[IpAddr]| list.first().map(ToString::to_string).unwrap_or_default();
    let all = |list: &[IpAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(text(map.and_then(|m| m.get(key))));
    }
    Ok(match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "metadata.labels" => map_text(meta.labels.as_ref()),
        "metadata.annotations" => map_text(meta.annotations.as_ref()),
        "spec.nodeName" => addresses.node_name.clone(),
        "spec.serviceAccountName" => text(spec.and_then(|s| s.service_account_name.as_ref())),
        "status.podIP" => first(&addresses.pod),
        "status.podIPs" => all(&addresses.pod),
        "status.hostIP" => first(&addresses.node),
        "status.hostIPs" => all(&addresses.node),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `key="escaped value"` lines, as the downward API writes maps.
fn map_text(map: Option<&BTreeMap<String, String>>) -> String {
    let lines =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", serde_json::Value::from(v.as_str())));
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of one resource of a container, in units of the divisor, rounded up. A limit that is not set is what the
/// node can give; a request that is not set is the limit, or 0.
///
/// # Errors
/// When the resource is unknown.
pub(crate) fn resource(
    of: &Container,
    what: &ResourceFieldSelector,
    node: &Allocatable,
) -> Result<String, String> {
    let unsupported = || format!("unsupported container resource: {}", what.resource);
    let (kind, name) = what.resource.split_once('.').ok_or_else(unsupported)?;
    // Everything in thousandths, the unit of CPU.
    let whole = match name {
        "cpu" => u128::from(node.cpu_millicores),
        "memory" => u128::from(node.memory_bytes) * 1000,
        "ephemeral-storage" => u128::from(node.ephemeral_storage_bytes) * 1000,
        _ => return Err(unsupported()),
    };
    let resources = of.resources.as_ref();
    let limit = resources.and_then(|r| r.limits.as_ref()).and_then(|m| m.get(name));
    let request = resources.and_then(|r| r.requests.as_ref()).and_then(|m| m.get(name));
    let thousandths = match kind {
        "limits" => limit.map_or(Some(whole), |q| quantity::thousandths(&q.0)),
        "requests" => request.map_or(Some(0), |q| quantity::thousandths(&q.0)),
        _ => None,
    };
    let divisor =
        what.divisor.as_ref().and_then(|q| quantity::thousandths(&q.0)).filter(|d| *d > 0).unwrap_or(1000);
    Ok(thousandths.ok_or_else(unsupported)?.div_ceil(divisor).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_are_sorted_and_escaped() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"labels": {"b": "2", "a": "say \"hi\""}}})).unwrap();
        let got = field(&pod, "metadata.labels", &Addresses::default()).unwrap();
        assert_eq!(got, "a=\"say \\\"hi\\\"\"\nb=\"2\"");
    }

    #[test]
    fn unknown_paths_are_refused() {
        for path in ["status.phase", "metadata.foo", "spec.x['y']"] {
            assert!(field(&Pod::default(), path, &Addresses::default()).is_err(), "{path}");
        }
    }
}
