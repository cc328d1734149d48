//! `imagePullSecrets`: which credentials belong to a registry (pkg/credentialprovider). A service account's secrets are
//! among the Pod's since its admission.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::context::Context;
use crate::runtime::images::{Credential, Reference};

/// The credentials for an image, best first; and the secrets that are missing.
pub(super) async fn credentials(
    context: &Context,
    pod: &Pod,
    reference: &Reference,
) -> (Vec<Credential>, Vec<String>) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let listed = pod.spec.as_ref().and_then(|s| s.image_pull_secrets.as_deref()).unwrap_or_default();
    let (mut entries, mut missing) = (Vec::new(), Vec::new());
    for name in listed.iter().map(|secret| &secret.name).filter(|name| !name.is_empty()) {
        match context.secret(namespace, name).await {
            Ok(Some(data)) => entries.extend(parse(&data)),
            Ok(None) | Err(_) => missing.push(name.clone()),
        }
    }
    (select(entries, reference), missing)
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    username: String,
    password: String,
    /// Base64 of `username:password`.
    auth: String,
    identitytoken: String,
}

impl Auth {
    fn credential(self) -> Option<Credential> {
        let (mut username, mut password) = (self.username, self.password);
        if username.is_empty()
            && let Some(pair) = STANDARD.decode(self.auth.trim()).ok().and_then(|b| String::from_utf8(b).ok())
            && let Some((name, word)) = pair.split_once(':')
        {
            (username, password) = (name.to_owned(), word.trim_end_matches('\0').to_owned());
        }
        let known = !username.is_empty() || !self.identitytoken.is_empty();
        known.then_some(Credential { username, password, identity_token: self.identitytoken })
    }
}

/// What a secret of either type holds: (registry, credential). What is no configuration of Docker's holds nothing.
fn parse(secret: &BTreeMap<String, Vec<u8>>) -> Vec<(String, Credential)> {
    let new = secret.get(".dockerconfigjson");
    let new = new.and_then(|b| serde_json::from_slice::<DockerConfig>(b).ok()).map(|c| c.auths);
    let old = secret.get(".dockercfg").and_then(|b| serde_json::from_slice(b).ok());
    let all: BTreeMap<String, Auth> = new.or(old).unwrap_or_default();
    all.into_iter().filter_map(|(registry, auth)| Some((registry, auth.credential()?))).collect()
}

/// Those for this image: the longest path first, then the order of the secrets.
fn select(entries: Vec<(String, Credential)>, reference: &Reference) -> Vec<Credential> {
    let mut fitting: Vec<(usize, Credential)> = entries
        .into_iter()
        .filter_map(|(registry, credential)| Some((fit(&registry, reference)?, credential)))
        .collect();
    fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let mut selected: Vec<Credential> = Vec::new();
    for (_, credential) in fitting {
        if !selected.contains(&credential) {
            selected.push(credential);
        }
    }
    selected
}

/// How long the path is by which a registry's key fits an image; none if it does not.
fn fit(key: &str, reference: &Reference) -> Option<usize> {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = path.trim_end_matches('/');
    // Docker Hub's key is `https://index.docker.io/v1/`.
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let (host, host_port) = split_port(host);
    let (registry, registry_port) = split_port(&reference.registry);
    let hosts: Vec<&str> = host.split('.').collect();
    let registries: Vec<&str> = registry.split('.').collect();
    let same = hosts.len() == registries.len() && hosts.iter().zip(&registries).all(|(g, t)| matches(g, t));
    let below = reference.repository == path
        || path.is_empty()
        || reference.repository.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    (same && host_port == registry_port && below).then_some(path.len())
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// One part of a host name; `*` stands for any text in it.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(key: &str, text: &str) -> BTreeMap<String, Vec<u8>> {
        [(key.to_owned(), text.as_bytes().to_vec())].into()
    }

    #[test]
    fn both_types_of_secrets_are_read() {
        let named = Credential { username: "u".into(), password: "p:q".into(), ..Default::default() };
        for (key, text) in [
            (".dockerconfigjson", r#"{"auths": {"r.io": {"username": "u", "password": "p:q"}}}"#),
            (".dockerconfigjson", r#"{"auths": {"r.io": {"auth": "dTpwOnE="}}}"#),
            (".dockercfg", r#"{"r.io": {"auth": "dTpwOnE=", "email": "x"}}"#),
        ] {
            assert_eq!(parse(&secret(key, text)), [("r.io".to_owned(), named.clone())], "{text}");
        }
        let token = parse(&secret(".dockerconfigjson", r#"{"auths": {"r.io": {"identitytoken": "t"}}}"#));
        assert_eq!(token[0].1.identity_token, "t");
        for nothing in ["", "[]", "{}", r#"{"auths": {"r.io": {}}}"#] {
            assert!(parse(&secret(".dockerconfigjson", nothing)).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_key_fits_by_host_port_and_path() {
        for (key, image, wanted) in [
            ("https://index.docker.io/v1/", "nginx", Some(0)),
            ("docker.io", "a/b", Some(0)),
            ("r.io", "r.io/a/b", Some(0)),
            ("https://r.io/v2/", "r.io/a/b", Some(0)),
            ("r.io/a", "r.io/a/b", Some(1)),
            ("r.io/a/b", "r.io/a/b:1", Some(3)),
            ("r.io/a", "r.io/ab/c", None),
            ("r.io:5000", "r.io:5000/a", Some(0)),
            ("r.io", "r.io:5000/a", None),
            ("*.r.io", "x.r.io/a", Some(0)),
            ("*.r.io", "r.io/a", None),
            ("*.r.io", "x.y.r.io/a", None),
            ("p*x.r.io", "prefix.r.io/a", Some(0)),
            ("other.io", "r.io/a", None),
        ] {
            assert_eq!(fit(key, &Reference::parse(image).unwrap()), wanted, "{key} for {image}");
        }
    }

    #[test]
    fn the_longest_path_is_tried_first() {
        let entry = |key: &str, user: &str| {
            (key.to_owned(), Credential { username: user.into(), ..Default::default() })
        };
        let entries =
            vec![entry("r.io", "all"), entry("r.io/a", "a"), entry("x.io", "x"), entry("r.io", "all")];
        let selected = select(entries, &Reference::parse("r.io/a/b").unwrap());
        assert_eq!(selected.iter().map(|c| c.username.as_str()).collect::<Vec<_>>(), ["a", "all"]);
    }
}
