//! The defaults that Kubernetes stores with Pods and Pod templates (`pkg/apis/core/v1/defaults.go`).

use crate::strategy::access::{at, default, has, items, keep, object, set, text};
use serde_json::{Value, json};

/// `defaultMode` of secret, configMap, downwardAPI and projected volumes: 0644.
const FILE_MODE: i64 = 420;

/// Defaults of a PodSpec, in a Pod or a template.
pub(crate) fn pod_spec(spec: &mut Value) {
    for (key, value) in [
        ("dnsPolicy", json!("ClusterFirst")),
        ("restartPolicy", json!("Always")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
        ("schedulerName", json!("default-scheduler")),
    ] {
        default(spec, key, value);
    }
    alias_service_account(spec);
    let host_network = at(spec, &["hostNetwork"]).as_bool().unwrap_or_default();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for each in items(spec, list) {
            container(each);
            if host_network {
                host_ports(each);
            }
        }
    }
    items(spec, "volumes").for_each(volume);
}

/// Defaults of a Pod that a template has not: service links, requests as high as limits.
pub(super) fn pod(object_: &mut Value) {
    let Some(spec) = object(object_, "spec") else { return };
    pod_spec(spec);
    default(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        items(spec, list).for_each(requests);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are served.
pub(super) fn alias_service_account(spec: &mut Value) {
    let names = [text(spec, "serviceAccountName"), text(spec, "serviceAccount")];
    let name = names.into_iter().find(|n| !n.is_empty()).unwrap_or_default().to_owned();
    if !name.is_empty() {
        set(spec, "serviceAccountName", name.clone());
        set(spec, "serviceAccount", name);
    }
}

fn requests(container: &mut Value) {
    let Some(limits) = at(container, &["resources", "limits"]).as_object().cloned() else { return };
    let Some(resources) = object(container, "resources") else { return };
    let Some(requests) = object(resources, "requests") else { return };
    for (resource, limit) in limits {
        default(requests, &resource, limit);
    }
}

fn host_ports(container: &mut Value) {
    for port in items(container, "ports") {
        if !has(port, "hostPort") {
            let number = at(port, &["containerPort"]).clone();
            set(port, "hostPort", number);
        }
    }
}

fn container(container: &mut Value) {
    let policy = if is_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
    for (key, value) in [
        ("imagePullPolicy", json!(policy)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
    ] {
        default(container, key, value);
    }
    items(container, "ports").for_each(|port| default(port, "protocol", "TCP"));
    for variable in items(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(each) = container.get_mut(name) {
            probe(each);
        }
    }
    for hook in ["/lifecycle/postStart/httpGet", "/lifecycle/preStop/httpGet"] {
        if let Some(get) = container.pointer_mut(hook) {
            http_get(get);
        }
    }
}

fn probe(probe: &mut Value) {
    for (key, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if at(probe, &[key]).as_i64().unwrap_or_default() == 0 {
            set(probe, key, value);
        }
    }
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.get_mut("grpc")
        && !has(grpc, "service")
    {
        set(grpc, "service", "");
    }
}

fn http_get(get: &mut Value) {
    default(get, "path", "/");
    default(get, "scheme", "HTTP");
}

/// Does the image's reference say `:latest`, or neither tag nor digest?
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.rsplit_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|map| map.keys().any(|key| key != "name"));
    if !has_source {
        set(volume, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(each) = volume.get_mut(source) {
            default(each, "defaultMode", FILE_MODE);
        }
    }
    if let Some(path) = volume.get_mut("hostPath")
        && !has(path, "type")
    {
        set(path, "type", "");
    }
    if let Some(api) = volume.get_mut("downwardAPI") {
        items(api, "items").for_each(field_ref);
    }
    let Some(projected) = volume.get_mut("projected") else { return };
    for source in items(projected, "sources") {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            default(token, "expirationSeconds", 3600);
        }
        if let Some(api) = source.get_mut("downwardAPI") {
            items(api, "items").for_each(field_ref);
        }
    }
}

fn field_ref(item: &mut Value) {
    if let Some(field) = item.get_mut("fieldRef") {
        default(field, "apiVersion", "v1");
    }
}

/// Keeps both names of the service account as they were.
pub(super) fn keep_service_account(spec: &mut Value, old: &Value) {
    if text(spec, "serviceAccountName").is_empty() {
        keep(spec, old, "serviceAccountName");
        keep(spec, old, "serviceAccount");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1", false),
            ("localhost:5000/nginx", true),
            ("localhost:5000/nginx:1", false),
            ("nginx@sha256:00", false),
            ("nginx:latest@sha256:00", true),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
