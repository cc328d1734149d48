//! List: pages of one revision, selected.

use super::select::Selector;
use super::{Registry, key, store_error, too_large};
use crate::kinds::Kind;
use crate::status::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealane_storage::{Entry, Revision, StoreError};
use serde_json::{Value, json};

/// How many entries are read at a time when a selector may drop most of them.
const CHUNK: usize = 1000;

/// What a LIST asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) selector: Selector,
    /// 0: all.
    pub(crate) limit: usize,
    /// The token of the page before.
    pub(crate) after: Option<String>,
    /// `resourceVersion`; empty: the newest.
    pub(crate) resource_version: String,
    /// `resourceVersionMatch`: empty, `Exact` or `NotOlderThan`.
    pub(crate) version_match: String,
}

/// A page of a list.
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) revision: Revision,
    /// The token of the next page; empty on the last one.
    pub(crate) next: String,
    pub(crate) remaining: Option<u64>,
}

impl Page {
    /// `metadata` of the list.
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if !self.next.is_empty() {
            metadata["continue"] = json!(self.next);
            if let Some(remaining) = self.remaining {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        metadata
    }
}

/// Where the objects of a kind lie, in one namespace or (empty) in all.
pub(super) fn prefix(kind: &Kind, namespace: &str) -> String {
    let prefix = key::resource_prefix(kind.storage_group, kind.plural);
    if namespace.is_empty() { prefix } else { format!("{prefix}{namespace}/") }
}

/// A resourceVersion as a number.
pub(super) fn parse_revision(text: &str) -> Result<Option<Revision>, ApiError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let error = crate::FieldError::invalid("resourceVersion", &json!(text), "must be a number");
            ApiError::invalid("meta.k8s.io", "ListOptions", "", &[error])
        }),
    }
}

impl Registry {
    /// One page of the objects of a kind in a namespace (empty: in all).
    pub(crate) fn list(&self, kind: &Kind, namespace: &str, options: &ListOptions) -> Result<Page, ApiError> {
        let prefix = prefix(kind, namespace);
        let (mut at, mut start) = self.start(options, &prefix)?;
        let chunk = match (options.limit, options.selector.is_empty()) {
            (limit, true) => limit,
            (0, false) => 0,
            (_, false) => CHUNK,
        };
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let range =
                self.store.range(&prefix, start.as_deref(), chunk, at).map_err(|e| expired(&e, options))?;
            at = Some(range.revision);
            let last = range.entries.last().map(|e| e.key.to_string());
            let mut remaining = range.remaining;
            for (i, entry) in range.entries.iter().enumerate() {
                if options.selector.matches(&entry.value) {
                    entries.push(entry.clone());
                }
                if options.limit > 0 && entries.len() == options.limit {
                    remaining += (range.entries.len() - i - 1) as u64;
                    return Ok(page(entries, &entry.key, range.revision, remaining, options, &prefix));
                }
            }
            if remaining == 0 || last.is_none() {
                return Ok(page(entries, "", range.revision, 0, options, &prefix));
            }
            start = last;
        }
    }

    /// The revision to read at, and the key to start after.
    fn start(
        &self,
        options: &ListOptions,
        prefix: &str,
    ) -> Result<(Option<Revision>, Option<String>), ApiError> {
        let wanted = parse_revision(&options.resource_version)?;
        if let Some(token) = &options.after {
            if wanted.is_some_and(|w| w != 0) {
                let why = "specifying resource version is not allowed when using continue";
                return Err(ApiError::bad_request(why));
            }
            let (revision, start) = parse_token(token, prefix)?;
            return Ok((Some(revision), Some(start)));
        }
        let exact = match options.version_match.as_str() {
            "" => options.limit > 0 && wanted.is_some_and(|w| w != 0),
            "Exact" if wanted.is_some_and(|w| w != 0) => true,
            "NotOlderThan" if wanted.is_some() => false,
            _ => return Err(bad_match(&options.version_match)),
        };
        let Some(wanted) = wanted.filter(|w| *w != 0) else { return Ok((None, None)) };
        if wanted > self.store.revision() {
            return Err(too_large(wanted, self.store.revision()));
        }
        Ok((exact.then_some(wanted), None))
    }
}

fn bad_match(given: &str) -> ApiError {
    let why = match given {
        "Exact" | "NotOlderThan" => {
            "resourceVersionMatch is forbidden unless a resourceVersion that it fits is provided"
        }
        _ => "supported values: \"Exact\", \"NotOlderThan\", \"\"",
    };
    let error =
        crate::FieldError::new(crate::FieldErrorKind::Forbidden, "resourceVersionMatch", &json!(given), why);
    ApiError::invalid("meta.k8s.io", "ListOptions", "", &[error])
}

fn page(
    entries: Vec<Entry>,
    last: &str,
    revision: Revision,
    remaining: u64,
    options: &ListOptions,
    prefix: &str,
) -> Page {
    let more = remaining > 0 && !last.is_empty();
    let next =
        if more { token(revision, last.strip_prefix(prefix).unwrap_or_default()) } else { String::new() };
    // with a selector nobody knows how many of the rest are selected
    Page { entries, revision, next, remaining: options.selector.is_empty().then_some(remaining) }
}

fn token(revision: Revision, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn parse_token(token: &str, prefix: &str) -> Result<(Revision, String), ApiError> {
    let bad = || ApiError::bad_request("continue key is not valid: it is no token that a list returned");
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| bad())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    match (token["rv"].as_u64(), token["start"].as_str()) {
        (Some(revision), Some(start)) => Ok((revision, format!("{prefix}{start}"))),
        _ => Err(bad()),
    }
}

fn expired(error: &StoreError, options: &ListOptions) -> ApiError {
    match error {
        StoreError::Compacted { .. } if options.after.is_some() => ApiError::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You must start a new \
             list without the continue parameter.",
        ),
        other => store_error(other),
    }
}
