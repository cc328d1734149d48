//! A kind: its cache and its writes. Every answer goes into the cache before the caller sees it.

use super::{Cache, Key, Sink, Source, follow};
use crate::Error;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams};
use kube::core::request::Request;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A typed, read-only view of a kind.
pub(crate) trait Object:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Object for T where
    T: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// How a write is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// JSON merge patch of the object.
    Merge,
    /// JSON merge patch of `…/status`.
    Status,
    /// Strategic merge patch of `…/status`.
    StrategicStatus,
}

/// All objects of a kind.
pub(crate) struct Objects<K> {
    client: Client,
    cache: Arc<Cache<K>>,
}

impl<K> std::ops::Deref for Objects<K> {
    type Target = Cache<K>;

    fn deref(&self) -> &Cache<K> {
        &self.cache
    }
}

impl<K: Object> Objects<K> {
    pub(crate) fn new(client: &Client) -> Self {
        Self { client: client.clone(), cache: Arc::new(Cache::new()) }
    }

    /// Keeps the cache until `shutdown`.
    pub(crate) fn watch(
        &self,
        field_selector: Option<&str>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + use<K> {
        let source = Source {
            path: K::url_path(&(), None),
            metadata_only: K::metadata_api(),
            field_selector: field_selector.map(str::to_owned),
        };
        let (client, cache) = (self.client.clone(), self.cache.clone());
        async move { follow::<K>(client, source, cache.as_ref() as &dyn Sink<K>, shutdown).await }
    }

    /// The object as the API has it now, unabridged.
    pub(crate) async fn fetch(&self, key: &Key) -> Result<Value, Error> {
        let doing = || Error::api(format!("reading {} {key}", K::kind(&())));
        let request = path::<K>(&key.namespace).get(&key.name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
        self.client.request(request).await.map_err(doing())
    }

    /// Creates an object from JSON (kind and apiVersion are filled in).
    pub(crate) async fn create(&self, namespace: &str, mut object: Value) -> Result<Arc<K>, Error> {
        let name = object["metadata"]["name"].as_str().or(object["metadata"]["generateName"].as_str());
        let doing = format!("creating {} {}", K::kind(&()), Key::new(namespace, name.unwrap_or_default()));
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::kind(&()).into();
        let body = serde_json::to_vec(&object).map_err(Error::json(doing.clone()))?;
        let request = path::<K>(namespace).create(&PostParams::default(), body);
        let request = request.map_err(kube::Error::BuildRequest).map_err(Error::api(doing.clone()))?;
        let created: K = self.client.request(request).await.map_err(Error::api(doing))?;
        Ok(self.cache.written(created))
    }

    /// Patches an object.
    pub(crate) async fn patch(&self, key: &Key, how: Write, patch: &Value) -> Result<Arc<K>, Error> {
        let doing = || Error::api(format!("patching {} {key}", K::kind(&())));
        let body = match how {
            Write::Merge | Write::Status => Patch::Merge(patch),
            Write::StrategicStatus => Patch::Strategic(patch),
        };
        let (path, parameters) = (path::<K>(&key.namespace), PatchParams::default());
        let request = match how {
            Write::Merge => path.patch(&key.name, &parameters, &body),
            Write::Status | Write::StrategicStatus => {
                path.patch_subresource("status", &key.name, &parameters, &body)
            }
        };
        let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
        let patched: K = self.client.request(request).await.map_err(doing())?;
        Ok(self.cache.written(patched))
    }

    /// Deletes an object; one that is already gone is fine. `parameters` should carry its uid.
    pub(crate) async fn delete(&self, key: &Key, parameters: &DeleteParams) -> Result<(), Error> {
        let doing = || Error::api(format!("deleting {} {key}", K::kind(&())));
        let request = path::<K>(&key.namespace).delete(&key.name, parameters);
        let request = request.map_err(kube::Error::BuildRequest).map_err(doing())?;
        match self.client.request::<Value>(request).await.map_err(doing()) {
            Ok(answer) => self.cache.deleting(key, answered(answer)),
            Err(error) if error.is_not_found() => self.cache.deleting(key, None),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn path<K: Object>(namespace: &str) -> Request {
    Request::new(K::url_path(&(), Some(namespace).filter(|n| !n.is_empty())))
}

/// The object, if a delete was answered with one rather than with a Status.
fn answered<K: DeserializeOwned>(answer: Value) -> Option<K> {
    if answer["kind"] == "Status" { None } else { serde_json::from_value(answer).ok() }
}
