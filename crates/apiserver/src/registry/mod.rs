//! The generic registry: every verb, for every kind, on top of the store.
//!
//! Objects go in and out as `serde_json::Value` in the version the caller asked for; they are stored in the kind's
//! stored version. What a kind does beyond being stored is its [`Strategy`].
//!
//! Invariants: an object and its claims are one transaction; no object is made in a namespace that is not there; a
//! write that changes nothing writes nothing.

pub(crate) mod convert;
mod create;
mod delete;
pub(crate) mod key;
mod list;
pub(crate) mod meta;
pub(crate) mod object;
mod scale;
pub(crate) mod select;
mod tracking;
mod update;
mod watch;

pub(crate) use create::bind;
pub(crate) use delete::{DeleteOptions, Deleted};
pub(crate) use list::{ListOptions, Page};
pub(crate) use scale::{apply_scale, scale_of};
pub(crate) use tracking::Tracking;
pub(crate) use watch::{WatchEvent, WatchOptions, Watcher, bookmark};

use crate::Config;
use crate::kinds::Kind;
use crate::status::ApiError;
use crate::strategy::{AllocateContext, Claims, Strategy};
use sealane_storage::{Condition, Entry, Key, Op, Revision, Store, StoreError};
use serde_json::Value;
use std::sync::Arc;

/// How often an allocation is tried again when somebody else takes what it chose.
const ALLOCATE_ATTEMPTS: u32 = 16;

/// The registry of one cluster.
pub(crate) struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Arc<Config>,
}

/// Where an object is, as a request names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) version: &'a str,
    /// Empty for cluster-scoped kinds.
    pub(crate) namespace: &'a str,
    /// Empty for a create or a list.
    pub(crate) name: &'a str,
}

impl Location<'_> {
    pub(crate) fn key(&self) -> Key {
        key::object_key(self.kind.storage_group, self.kind.plural, self.namespace, self.name)
    }

    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::not_found(self.kind.group, self.kind.plural, self.name)
    }

    pub(crate) fn modified(&self) -> ApiError {
        ApiError::modified(self.kind.group, self.kind.plural, self.name)
    }
}

/// Why a transaction was not committed.
pub(super) enum Lost {
    /// The object's own key stands otherwise.
    Object,
    /// The namespace is not there.
    Namespace,
    /// Somebody else has what was to be claimed.
    Claim,
    /// It cannot be.
    Error(ApiError),
}

impl Registry {
    pub(crate) fn strategy(kind: &Kind) -> &'static dyn Strategy {
        crate::strategy::for_kind(kind.storage_group, kind.kind)
    }

    /// The stored entry of an object.
    pub(crate) fn entry(&self, at: &Location<'_>) -> Result<Entry, ApiError> {
        if at.name.is_empty() {
            return Err(at.not_found());
        }
        self.store.get(&at.key()).ok_or_else(|| at.not_found())
    }

    /// The object as it is served.
    pub(crate) fn get(&self, at: &Location<'_>) -> Result<Value, ApiError> {
        self.serve(at.kind, at.version, &self.entry(at)?)
    }

    /// An entry as it is served in a version.
    pub(crate) fn serve(&self, kind: &Kind, version: &str, entry: &Entry) -> Result<Value, ApiError> {
        let mut object = object::decode(entry)?;
        Self::strategy(kind).on_read(&mut object);
        convert::to_version(kind, version, &mut object);
        Ok(object)
    }

    /// Appends an entry as it is served in a version, without parsing it where nothing asks for that.
    pub(crate) fn serve_bytes(kind: &Kind, version: &str, entry: &Entry, out: &mut Vec<u8>) {
        if !kind.mended && kind.group == kind.storage_group {
            return object::splice(out, &entry.value, entry.mod_revision, &kind.api_version(version));
        }
        let Ok(mut object) = object::decode(entry) else { return };
        Self::strategy(kind).on_read(&mut object);
        convert::to_version(kind, version, &mut object);
        serde_json::to_writer(out, &object).expect("JSON is written to memory");
    }

    fn allocate_context(&self, attempt: u32, dry_run: bool) -> AllocateContext<'_> {
        AllocateContext { store: &*self.store, config: &self.config, attempt, dry_run }
    }

    /// Commits an object's write together with its claims.
    async fn commit(
        &self,
        object: Condition,
        namespace: Option<Key>,
        op: Op,
        claims: Claims,
    ) -> Result<Revision, Lost> {
        let key = condition_key(&object).clone();
        let mut conditions = vec![object];
        conditions.extend(namespace.clone().map(Condition::Present));
        conditions.extend(claims.conditions);
        let mut ops = vec![op];
        ops.extend(claims.ops);
        match self.store.txn(conditions, ops).await {
            Ok(revision) => Ok(revision),
            Err(StoreError::Conflict { condition, .. }) => Err(match condition_key(&condition) {
                k if *k == key => Lost::Object,
                k if Some(k) == namespace.as_ref() => Lost::Namespace,
                _ => Lost::Claim,
            }),
            Err(e) => Err(Lost::Error(store_error(&e))),
        }
    }
}

fn condition_key(condition: &Condition) -> &Key {
    match condition {
        Condition::Absent(k) | Condition::Present(k) | Condition::ModRevision(k, _) => k,
    }
}

/// 409 when sixteen allocations in a row were taken by others.
fn contended(at: &Location<'_>) -> ApiError {
    let why = "what it claims was taken by others again and again; please try again";
    ApiError::conflict(at.kind.group, at.kind.plural, at.name, why)
}

/// A store's error as the API tells it.
pub(crate) fn store_error(error: &StoreError) -> ApiError {
    match error {
        StoreError::Compacted { requested, oldest } => {
            ApiError::new(410, "Expired", format!("too old resource version: {requested} ({oldest})"))
        }
        StoreError::Future { requested, newest } => too_large(*requested, *newest),
        StoreError::Full { .. } => ApiError::new(507, "InsufficientStorage", error.to_string()),
        StoreError::Conflict { .. } => ApiError::new(409, "Conflict", error.to_string()),
        StoreError::Backend { source, .. } => ApiError::internal(format_args!("{error}: {source}")),
    }
}

/// 504 for a resourceVersion that has not happened yet.
fn too_large(requested: Revision, newest: Revision) -> ApiError {
    let message = format!("Too large resource version: {requested}, current: {newest}");
    let mut error = ApiError::new(504, "Timeout", format!("Timeout: {message}"));
    error.details = serde_json::json!({"retryAfterSeconds": 1,
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
    error
}
