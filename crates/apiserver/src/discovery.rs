//! Discovery: which groups, versions and kinds there are, in the aggregated and in the old form; and `/version`.

use crate::Config;
use crate::http::accept::Wants;
use crate::http::answer::{self, Response};
use crate::kinds::{self, KINDS, Kind};
use crate::status::ApiError;
use serde_json::{Value, json};

fn nothing_there() -> ApiError {
    ApiError::new(404, "NotFound", "the server could not find the requested resource")
}

/// Whether something is served at a path that names no resource.
pub(crate) fn exists(path: &str) -> bool {
    matches!(
        path.trim_end_matches('/'),
        "" | "/api" | "/apis" | "/version" | "/healthz" | "/livez" | "/metrics" | "/readyz"
    ) || resources_at(path).is_some()
}

/// Answers a discovery path.
pub(crate) fn answer(config: &Config, path: &str, wants: &Wants) -> Result<Response, ApiError> {
    if let Some(version) = aggregated(wants).filter(|_| matches!(path, "/api" | "/apis")) {
        let body = group_discovery(version, path == "/api").to_string();
        return Ok(match version {
            "v2" => answer::bytes(
                200,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                body,
            ),
            _ => answer::bytes(
                200,
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
                body,
            ),
        });
    }
    wants.json()?;
    let value = match path {
        "" => json!({"paths": paths()}),
        "/version" => version(config),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": config.advertise.to_string()}]}),
        "/apis" => {
            let groups: Vec<Value> = named_groups().iter().map(|(g, v)| api_group(g, v)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        _ => match resources_at(path) {
            Some((group, version)) => resource_list(group, version),
            None => named_group(path).ok_or_else(nothing_there)?,
        },
    };
    Ok(answer::value(200, &value))
}

/// The version of the aggregated form that the client would rather have than anything else.
fn aggregated(wants: &Wants) -> Option<&'static str> {
    let first = wants.0.iter().find(|m| m.kind.is_empty() || m.group == "apidiscovery.k8s.io")?;
    match (first.kind.as_str(), first.version.as_str()) {
        ("APIGroupDiscoveryList", "v2") => Some("v2"),
        ("APIGroupDiscoveryList", "v2beta1") => Some("v2beta1"),
        _ => None,
    }
}

fn named_groups() -> Vec<(&'static str, Vec<&'static str>)> {
    kinds::group_versions().into_iter().filter(|(group, _)| !group.is_empty()).collect()
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn paths() -> Vec<String> {
    let mut paths: Vec<String> =
        ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned)
            .to_vec();
    for (group, versions) in named_groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|v| format!("/apis/{group}/{v}")));
    }
    paths.sort();
    paths
}

fn version(config: &Config) -> Value {
    let mut numbers = config.kubernetes_version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    json!({"major": major, "minor": minor, "gitVersion": config.kubernetes_version, "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_arch())})
}

/// The architecture as Go calls it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn api_group(group: &str, versions: &[&str]) -> Value {
    let entry = |v: &&str| json!({"groupVersion": group_version(group, v), "version": v});
    json!({"name": group, "versions": versions.iter().map(entry).collect::<Vec<_>>(),
        "preferredVersion": entry(&versions[0])})
}

fn named_group(path: &str) -> Option<Value> {
    let name = path.strip_prefix("/apis/")?;
    let (group, versions) = named_groups().into_iter().find(|(g, _)| *g == name)?;
    let mut value = api_group(group, &versions);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Some(value)
}

/// The group and version whose kinds a path lists.
fn resources_at(path: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version) = match parts.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    KINDS.iter().any(|k| k.group == group && k.versions.contains(&version)).then_some((group, version))
}

fn served<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static Kind> + use<'a> {
    KINDS.iter().filter(move |k| k.group == group && k.versions.contains(&version))
}

fn resource_list(group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in served(group, version) {
        let mut resource = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": kind.verbs()});
        if !kind.short_names.is_empty() {
            resource["shortNames"] = json!(kind.short_names);
        }
        if kind.in_all {
            resource["categories"] = json!(["all"]);
        }
        resources.push(resource);
        for below in kind.subresources {
            let (group, version, name) = below.schema();
            let mut resource = json!({"name": format!("{}/{}", kind.plural, below.name()), "singularName": "",
                "namespaced": kind.namespaced, "kind": if name.is_empty() { kind.kind } else { name },
                "verbs": below.verbs()});
            if !name.is_empty() && !group.is_empty() {
                resource["group"] = json!(group);
                resource["version"] = json!(version);
            }
            resources.push(resource);
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
        "resources": resources})
}

fn group_discovery(form: &str, core: bool) -> Value {
    let items: Vec<Value> = kinds::group_versions()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|v| {
                    let resources: Vec<Value> = served(group, v).map(|k| resource_discovery(k, v)).collect();
                    json!({"version": v, "freshness": "Current", "resources": resources})
                })
                .collect();
            let mut metadata = json!({"creationTimestamp": null});
            if !group.is_empty() {
                metadata["name"] = json!(group);
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{form}"), "metadata": {},
        "items": items})
}

fn resource_discovery(kind: &Kind, version: &str) -> Value {
    let own = json!({"group": kind.group, "version": version, "kind": kind.kind});
    let mut resource = json!({"resource": kind.plural, "responseKind": own,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": kind.verbs()});
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if kind.in_all {
        resource["categories"] = json!(["all"]);
    }
    let below: Vec<Value> = kind
        .subresources
        .iter()
        .map(|s| {
            let (group, v, name) = s.schema();
            let schema = if name.is_empty() {
                own.clone()
            } else {
                json!({"group": group, "version": v, "kind": name})
            };
            json!({"subresource": s.name(), "responseKind": schema, "verbs": s.verbs()})
        })
        .collect();
    if !below.is_empty() {
        resource["subresources"] = json!(below);
    }
    resource
}
