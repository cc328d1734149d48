//! Which kinds the API serves.

use crate::Error;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;

/// A kind of the API, in the version that the API prefers.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    verbs: Vec<String>,
}

impl Kind {
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The path of the collection, over all namespaces or in one.
    pub(crate) fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        format!("{root}/{}{within}/{}", self.version, self.plural)
    }
}

/// All kinds, without subresources.
pub(crate) async fn discover(client: &Client) -> Result<Vec<Kind>, Error> {
    let doing = || Error::api("asking the API which kinds it serves");
    let mut kinds = Vec::new();
    let core = client.list_core_api_resources("v1").await.map_err(doing())?;
    kinds.extend(core.resources.into_iter().filter_map(|resource| kind("", "v1", resource)));
    for group in client.list_api_groups().await.map_err(doing())?.groups {
        let preferred = group.preferred_version.as_ref().or(group.versions.first());
        let Some(version) = preferred else { continue };
        let list = client.list_api_group_resources(&version.group_version).await.map_err(doing())?;
        kinds.extend(
            list.resources.into_iter().filter_map(|resource| kind(&group.name, &version.version, resource)),
        );
    }
    Ok(kinds)
}

fn kind(group: &str, version: &str, resource: APIResource) -> Option<Kind> {
    (!resource.name.contains('/')).then(|| Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: resource.kind,
        plural: resource.name,
        namespaced: resource.namespaced,
        verbs: resource.verbs,
    })
}
