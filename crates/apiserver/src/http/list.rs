//! GET, LIST and WATCH.

use super::accept::{Form, Wants};
use super::answer::{self, Response};
use super::{Query, Request};
use crate::ApiServer;
use crate::kinds::Kind;
use crate::registry::select::Selector;
use crate::registry::{ListOptions, Location, Page, Registry, WatchEvent, WatchOptions, Watcher, bookmark};
use crate::status::ApiError;
use crate::table::{self, TableOptions};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// One object in the form that the client takes.
pub(super) fn represent(wants: &Wants, query: &Query, kind: &Kind, object: Value) -> Result<Value, ApiError> {
    Ok(match wants.form()? {
        Form::Object => object,
        Form::Metadata => metadata_of(&object),
        Form::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table::render(
                kind.group,
                kind.kind,
                &[object],
                &table_options(query, false),
                metadata,
                Timestamp::now(),
            )
        }
    })
}

fn table_options(query: &Query, no_headers: bool) -> TableOptions {
    TableOptions { include_object: query.text("includeObject").parse().unwrap_or_default(), no_headers }
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

impl ApiServer {
    pub(super) fn get(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let object = self.registry.get(at)?;
        let object = represent(&Wants::of(&request.headers), &request.query, at.kind, object)?;
        Ok(answer::warn(answer::value(200, &object), &read_warnings(at.kind)))
    }

    pub(super) async fn list(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let form = Wants::of(&request.headers).form()?;
        let page = self.registry.list(at.kind, at.namespace, &list_options(request, at)?)?;
        let body = match form {
            Form::Object => list_bytes(at, &page),
            Form::Table => {
                let objects = self.objects(at, &page)?;
                let options = table_options(&request.query, false);
                table::render(
                    at.kind.group,
                    at.kind.kind,
                    &objects,
                    &options,
                    page.metadata(),
                    Timestamp::now(),
                )
                .to_string()
                .into()
            }
            Form::Metadata => {
                let items: Vec<Value> = self.objects(at, &page)?.iter().map(metadata_of).collect();
                let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": page.metadata(), "items": items});
                list.to_string().into()
            }
        };
        let response = answer::compressed(request, body).await;
        Ok(answer::warn(response, &read_warnings(at.kind)))
    }

    fn objects(&self, at: &Location<'_>, page: &Page) -> Result<Vec<Value>, ApiError> {
        page.entries.iter().map(|e| self.registry.serve(at.kind, at.version, e)).collect()
    }

    pub(super) fn watch(&self, request: &Request, at: &Location<'_>) -> Result<Response, ApiError> {
        let form = Wants::of(&request.headers).form()?;
        let query = &request.query;
        let options = WatchOptions {
            selector: selector(request, at)?,
            resource_version: query.text("resourceVersion").to_owned(),
            version_match: query.text("resourceVersionMatch").to_owned(),
            initial_events: query.optional_flag("sendInitialEvents"),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout: query.number("timeoutSeconds")?.filter(|t| *t > 0).map(Duration::from_secs),
        };
        let watcher = self.registry.watch(at.kind, at.namespace, options)?;
        let lines = Lines {
            watcher,
            kind: at.kind,
            version: at.version.to_owned(),
            form,
            query: query.clone(),
            rows: 0,
        };
        let frames = stream::unfold(lines, |mut lines| async move {
            let line = lines.next().await?;
            Some((Ok::<_, answer::BoxError>(Frame::data(line)), lines))
        });
        let body = StreamBody::new(frames).boxed_unsync();
        Ok(answer::warn(answer::stream(200, "application/json", body), &read_warnings(at.kind)))
    }
}

/// A deprecated kind says so on every read.
fn read_warnings(kind: &Kind) -> Vec<String> {
    Registry::strategy(kind).warnings(&json!({}))
}

pub(super) fn selector(request: &Request, at: &Location<'_>) -> Result<Selector, ApiError> {
    let query = &request.query;
    Selector::parse(at.kind, query.text("labelSelector"), query.text("fieldSelector"))
}

pub(super) fn list_options(request: &Request, at: &Location<'_>) -> Result<ListOptions, ApiError> {
    let query = &request.query;
    if query.get("sendInitialEvents").is_some() {
        let error =
            crate::FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
        return Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &[error]));
    }
    Ok(ListOptions {
        selector: selector(request, at)?,
        limit: usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(usize::MAX),
        after: query.get("continue").map(str::to_owned),
        resource_version: query.text("resourceVersion").to_owned(),
        version_match: query.text("resourceVersionMatch").to_owned(),
    })
}

fn list_bytes(at: &Location<'_>, page: &Page) -> Bytes {
    let size: usize = page.entries.iter().map(|e| e.value.len() + 48).sum();
    let mut out = Vec::with_capacity(size + 256);
    let api_version = at.kind.api_version(at.version);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{api_version}\",\"metadata\":{},\"items\":[",
        at.kind.kind,
        page.metadata()
    );
    out.extend_from_slice(head.as_bytes());
    for (i, entry) in page.entries.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        Registry::serve_bytes(at.kind, at.version, entry, &mut out);
    }
    out.extend_from_slice(b"]}\n");
    out.into()
}

/// A watch as lines of JSON.
struct Lines {
    watcher: Watcher,
    kind: &'static Kind,
    version: String,
    form: Form,
    query: Query,
    /// Tables sent so far: only the first one names the columns.
    rows: usize,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        let (name, entry) = match self.watcher.next().await? {
            WatchEvent::Added(entry) => ("ADDED", entry),
            WatchEvent::Modified(entry) => ("MODIFIED", entry),
            WatchEvent::Deleted(entry) => ("DELETED", entry),
            WatchEvent::Bookmark { revision, initial_end } => {
                let api_version = self.kind.api_version(&self.version);
                let object = bookmark(&api_version, self.kind.kind, revision, initial_end);
                let object = self.shaped(object);
                return Some(line("BOOKMARK", object.to_string().as_bytes()));
            }
            WatchEvent::Error(error) => return Some(line("ERROR", error.to_status().to_string().as_bytes())),
        };
        let mut bytes = Vec::with_capacity(entry.value.len() + 64);
        Registry::serve_bytes(self.kind, &self.version, &entry, &mut bytes);
        if self.form == Form::Object {
            return Some(line(name, &bytes));
        }
        let object = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Some(line(name, self.shaped(object).to_string().as_bytes()))
    }

    fn shaped(&mut self, object: Value) -> Value {
        match self.form {
            Form::Object => object,
            Form::Metadata => metadata_of(&object),
            Form::Table => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let options = table_options(&self.query, self.rows > 0);
                self.rows += 1;
                table::render(
                    self.kind.group,
                    self.kind.kind,
                    &[object],
                    &options,
                    metadata,
                    Timestamp::now(),
                )
            }
        }
    }
}

fn line(name: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
    out.into()
}
