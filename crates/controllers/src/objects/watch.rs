//! List and watch a kind for ever.

use futures::TryStreamExt;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::request::Request;
use kube::core::{ObjectList, ObjectMeta, WatchEvent};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Takes what a watch says.
pub(crate) trait Sink<T>: Send + Sync {
    /// These are all objects as of that revision.
    fn replace(&self, objects: Vec<T>, revision: u64);
    /// The object was added or changed.
    fn apply(&self, object: T);
    /// The object is gone.
    fn delete(&self, object: T);
    /// Nothing else happened up to that revision.
    fn progress(&self, revision: u64);
}

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The path of the collection over all namespaces: `/api/v1/pods`.
    pub(crate) path: String,
    /// Ask for the metadata only.
    pub(crate) metadata_only: bool,
    /// Only these, if any.
    pub(crate) field_selector: Option<String>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Feeds `sink` until `shutdown`. Errors are met with a pause and another try.
pub(crate) async fn follow<T>(client: Client, source: Source, sink: &dyn Sink<T>, shutdown: CancellationToken)
where
    T: Clone + Debug + DeserializeOwned + kube::Resource + 'static,
{
    let mut pause = FIRST_PAUSE;
    let mut at: Option<String> = None;
    let endless = async {
        loop {
            match step(&client, &source, sink, &mut at).await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    tracing::debug!(path = source.path, %error, "watch ended");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    };
    tokio::select! { () = shutdown.cancelled() => {}, () = endless => {} }
}

/// One list if there is no revision to start from, then one watch until it ends.
async fn step<T>(
    client: &Client,
    source: &Source,
    sink: &dyn Sink<T>,
    at: &mut Option<String>,
) -> kube::Result<()>
where
    T: Clone + Debug + DeserializeOwned + kube::Resource + 'static,
{
    let from = match at.take() {
        Some(revision) => revision,
        None => list(client, source, sink).await?,
    };
    let mut parameters = WatchParams::default();
    parameters.field_selector.clone_from(&source.field_selector);
    let request = Request::new(source.path.clone());
    let request = if source.metadata_only {
        request.watch_metadata(&parameters, &from)
    } else {
        request.watch(&parameters, &from)
    };
    let request = request.map_err(kube::Error::BuildRequest)?;
    // An error that is not the revision's fault leaves it in place for the next try.
    let events = match client.request_events::<T>(request).await {
        Ok(events) => events,
        Err(error) => {
            if !is_expired(&error) {
                *at = Some(from);
            }
            return Err(error);
        }
    };
    futures::pin_mut!(events);
    let mut revision = from;
    while let Some(event) = events.try_next().await.inspect_err(|error| {
        if !is_expired(error) {
            *at = Some(revision.clone());
        }
    })? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                keep(&mut revision, object.meta());
                sink.apply(object);
            }
            WatchEvent::Deleted(object) => {
                keep(&mut revision, object.meta());
                sink.delete(object);
            }
            WatchEvent::Bookmark(mark) => {
                revision = mark.metadata.resource_version;
                sink.progress(number(&revision));
            }
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    *at = Some(revision);
    Ok(())
}

async fn list<T>(client: &Client, source: &Source, sink: &dyn Sink<T>) -> kube::Result<String>
where
    T: Clone + DeserializeOwned,
{
    let mut objects = Vec::new();
    let mut parameters = ListParams { limit: Some(500), ..ListParams::default() };
    parameters.field_selector.clone_from(&source.field_selector);
    loop {
        let request = Request::new(source.path.clone());
        let request =
            if source.metadata_only { request.list_metadata(&parameters) } else { request.list(&parameters) };
        let page: ObjectList<T> = client.request(request.map_err(kube::Error::BuildRequest)?).await?;
        objects.extend(page.items);
        parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if parameters.continue_token.is_none() {
            let revision = page.metadata.resource_version.unwrap_or_else(|| "0".to_owned());
            sink.replace(objects, number(&revision));
            return Ok(revision);
        }
    }
}

fn keep(revision: &mut String, meta: &ObjectMeta) {
    if let Some(newer) = &meta.resource_version {
        revision.clone_from(newer);
    }
}

fn number(revision: &str) -> u64 {
    revision.parse().unwrap_or(0)
}

fn is_expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}
