//! A container's environment. Pure: what it refers to has been fetched before.

mod expand;
pub(crate) mod services;

pub(crate) use expand::expand;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use super::fields::{self, Addresses, Allocatable};

/// The data of the ConfigMaps and Secrets of one namespace that a container refers to; absent ones are missing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sources {
    /// ConfigMaps by name.
    pub(crate) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets by name, decoded.
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// The names of ConfigMaps and Secrets that the environment of `container` refers to.
pub(crate) fn references(container: &Container) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for from in container.env_from.iter().flatten() {
        config_maps.extend(from.config_map_ref.iter().map(|r| r.name.clone()));
        secrets.extend(from.secret_ref.iter().map(|r| r.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        config_maps.extend(source.config_map_key_ref.iter().map(|r| r.name.clone()));
        secrets.extend(source.secret_key_ref.iter().map(|r| r.name.clone()));
    }
    (config_maps, secrets)
}

/// What a container's environment is made of, besides its spec.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    /// The Pod.
    pub(crate) pod: &'a Pod,
    /// Its addresses and its node's.
    pub(crate) addresses: &'a Addresses,
    /// What the node could give, for limits that are not set.
    pub(crate) allocatable: &'a Allocatable,
    /// The variables of Services.
    pub(crate) services: BTreeMap<String, String>,
    /// ConfigMaps and Secrets.
    pub(crate) sources: &'a Sources,
}

/// The environment of `container`, by name.
///
/// # Errors
/// The text of the waiting state's `CreateContainerConfigError`.
pub(crate) fn environment(
    container: &Container,
    inputs: &Inputs<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let data = if let Some(r) = &from.config_map_ref {
            whole("configmap", &inputs.sources.config_maps, &r.name, r.optional)?
        } else if let Some(r) = &from.secret_ref {
            whole("secret", &inputs.sources.secrets, &r.name, r.optional)?
        } else {
            None
        };
        out.extend(data.into_iter().flatten().map(|(k, v)| (format!("{prefix}{k}"), v.clone())));
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => value_from(source, container, inputs)?,
            None => {
                let text = variable.value.as_deref().unwrap_or_default();
                let known = |name: &str| out.get(name).or_else(|| inputs.services.get(name)).cloned();
                Some(expand(text, known))
            }
        };
        if let Some(value) = value {
            out.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in &inputs.services {
        out.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(out)
}

type Named = BTreeMap<String, BTreeMap<String, String>>;

fn whole<'a>(
    kind: &str,
    all: &'a Named,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a BTreeMap<String, String>>, String> {
    match all.get(name) {
        None if optional != Some(true) => Err(format!("{kind} \"{name}\" not found")),
        found => Ok(found),
    }
}

fn key(
    kind: &str,
    all: &Named,
    name: &str,
    key: &str,
    optional: Option<bool>,
    pod: &Pod,
) -> Result<Option<String>, String> {
    let Some(data) = whole(kind, all, name, optional)? else { return Ok(None) };
    match data.get(key) {
        None if optional != Some(true) => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let kind = if kind == "secret" { "Secret" } else { "ConfigMap" };
            Err(format!("couldn't find key {key} in {kind} {namespace}/{name}"))
        }
        found => Ok(found.cloned()),
    }
}

fn value_from(
    source: &EnvVarSource,
    container: &Container,
    inputs: &Inputs<'_>,
) -> Result<Option<String>, String> {
    if let Some(r) = &source.field_ref {
        return fields::field(inputs.pod, &r.field_path, inputs.addresses).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        let of = fields::container(inputs.pod, r.container_name.as_deref()).unwrap_or(container);
        return fields::resource(of, r, inputs.allocatable).map(Some);
    }
    if let Some(r) = &source.config_map_key_ref {
        return key("configmap", &inputs.sources.config_maps, &r.name, &r.key, r.optional, inputs.pod);
    }
    if let Some(r) = &source.secret_key_ref {
        return key("secret", &inputs.sources.secrets, &r.name, &r.key, r.optional, inputs.pod);
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
