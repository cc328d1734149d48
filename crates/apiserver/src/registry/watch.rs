//! Watch: what the store reports, seen through a selector.
//!
//! Semantics: `staging/src/k8s.io/apiserver/pkg/storage/cacher/`, KEP-3157 (initial events), KEP-956 (bookmarks).

use super::list::{parse_revision, prefix};
use super::select::Selector;
use super::{Registry, store_error};
use crate::kinds::Kind;
use crate::status::ApiError;
use sealane_storage::{Entry, Event, Revision, Store, Watch};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often a quiet watch is told how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A revision that was current this long ago has reached every watcher that kept up.
const SETTLED: Duration = Duration::from_millis(100);

/// What a WATCH asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchOptions {
    pub(crate) selector: Selector,
    /// Empty or `0`: what stands first, then changes.
    pub(crate) resource_version: String,
    pub(crate) version_match: String,
    pub(crate) initial_events: Option<bool>,
    pub(crate) bookmarks: bool,
    /// The watch ends by itself after this time.
    pub(crate) timeout: Option<Duration>,
}

/// One event of a watch. The entry of a deletion is the last state, at the revision that deleted it.
#[derive(Debug, Clone)]
pub(crate) enum WatchEvent {
    Added(Entry),
    Modified(Entry),
    Deleted(Entry),
    Bookmark {
        revision: Revision,
        initial_end: bool,
    },
    /// The last one.
    Error(ApiError),
}

/// A running watch.
pub(crate) struct Watcher {
    store: Arc<dyn Store>,
    changes: Option<Watch>,
    selector: Selector,
    pending: VecDeque<WatchEvent>,
    bookmarks: bool,
    revision: Revision,
    tick: Instant,
    /// Seen current at the last tick; told one `SETTLED` later.
    settling: Option<Revision>,
    end: Option<Instant>,
}

impl Registry {
    /// Starts a watch of a kind in a namespace (empty: in all).
    pub(crate) fn watch(
        &self,
        kind: &Kind,
        namespace: &str,
        options: WatchOptions,
    ) -> Result<Watcher, ApiError> {
        let wanted = parse_revision(&options.resource_version)?.unwrap_or(0);
        check_match(&options)?;
        let initial = options.initial_events.unwrap_or(wanted == 0);
        let prefix = prefix(kind, namespace);
        let mut pending = VecDeque::new();
        let mut revision = if wanted == 0 { self.store.revision() } else { wanted };
        if initial {
            let range = self.store.range(&prefix, None, 0, None).map_err(|e| store_error(&e))?;
            if wanted > range.revision {
                return Err(super::too_large(wanted, range.revision));
            }
            revision = range.revision;
            let selected = range.entries.into_iter().filter(|e| options.selector.matches(&e.value));
            pending.extend(selected.map(WatchEvent::Added));
            if options.initial_events == Some(true) && options.bookmarks {
                pending.push_back(WatchEvent::Bookmark { revision, initial_end: true });
            }
        }
        let changes = match self.store.watch(&prefix, revision) {
            Ok(changes) => Some(changes),
            Err(e) => {
                pending.push_back(WatchEvent::Error(gone(&store_error(&e))));
                None
            }
        };
        let now = Instant::now();
        Ok(Watcher {
            store: self.store.clone(),
            changes,
            selector: options.selector,
            pending,
            bookmarks: options.bookmarks,
            revision,
            tick: now + BOOKMARK_EVERY,
            settling: None,
            end: options.timeout.map(|t| now + t),
        })
    }
}

/// A watch that cannot go on from where it was told to starts anew: 410.
fn gone(error: &ApiError) -> ApiError {
    ApiError::new(410, "Expired", error.message.clone())
}

fn check_match(options: &WatchOptions) -> Result<(), ApiError> {
    let why = match (options.initial_events, options.version_match.as_str()) {
        (None, "") | (Some(_), "NotOlderThan") => return Ok(()),
        (None, _) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        (Some(_), _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    };
    let error = crate::FieldError::forbidden("resourceVersionMatch", why);
    Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &[error]))
}

impl Watcher {
    /// The next event; `None` when the watch is over: its time is up, or its reader was too slow.
    pub(crate) async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            let end = self.end;
            let changes = self.changes.as_mut()?;
            tokio::select! {
                biased;
                event = changes.recv() => {
                    let event = event?;
                    self.revision = event.revision;
                    if let Some(event) = project(&self.selector, &event) {
                        return Some(event);
                    }
                }
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return None,
                () = sleep_until(self.tick), if self.bookmarks => self.on_tick(),
            }
        }
    }

    /// All changes up to a revision that was current a tick ago have been read by now: the queue is empty.
    fn on_tick(&mut self) {
        let now = Instant::now();
        match self.settling.take() {
            None => {
                self.settling = Some(self.store.revision());
                self.tick = now + SETTLED;
            }
            Some(settled) => {
                self.revision = self.revision.max(settled);
                self.pending.push_back(WatchEvent::Bookmark { revision: self.revision, initial_end: false });
                self.tick = now + BOOKMARK_EVERY;
            }
        }
    }
}

/// A change as the selector shows it: what enters is ADDED, what leaves is DELETED.
fn project(selector: &Selector, event: &Event) -> Option<WatchEvent> {
    let was = event.previous.as_ref().filter(|e| selector.matches(&e.value));
    let is = event.current.as_ref().filter(|e| selector.matches(&e.value));
    match (was, is) {
        (None, None) => None,
        (None, Some(new)) => Some(WatchEvent::Added(new.clone())),
        (Some(_), Some(new)) => Some(WatchEvent::Modified(new.clone())),
        (Some(old), None) => Some(WatchEvent::Deleted(Entry { mod_revision: event.revision, ..old.clone() })),
    }
}

/// The annotation of the bookmark that ends the initial events.
pub(crate) fn bookmark(
    api_version: &str,
    kind: &str,
    revision: Revision,
    initial_end: bool,
) -> serde_json::Value {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    json!({"kind": kind, "apiVersion": api_version, "metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(labels: &str, revision: Revision) -> Entry {
        let value = format!("{{\"metadata\":{{\"labels\":{labels}}}}}");
        Entry { key: "/k".into(), value: value.into(), create_revision: 1, mod_revision: revision }
    }

    #[tokio::test]
    async fn a_quiet_watch_is_told_how_far_it_is() {
        let store = Arc::new(sealane_storage::MemoryStore::new());
        let mut watcher = Watcher {
            store: store.clone(),
            changes: Some(store.watch("/mine/", 0).unwrap()),
            selector: Selector::default(),
            pending: VecDeque::new(),
            bookmarks: true,
            revision: 0,
            tick: Instant::now(),
            settling: None,
            end: None,
        };
        let put = |key: &str| vec![sealane_storage::Op::Put(key.into(), "{}".into())];
        store.txn(Vec::new(), put("/others/a")).await.unwrap();
        let Some(WatchEvent::Bookmark { revision, initial_end: false }) = watcher.next().await else {
            panic!("a bookmark comes");
        };
        assert_eq!(revision, store.revision());
        store.txn(Vec::new(), put("/mine/a")).await.unwrap();
        assert!(matches!(watcher.next().await, Some(WatchEvent::Added(_))));
    }

    #[test]
    fn a_selector_turns_changes_into_additions_and_deletions() {
        let pod = crate::kinds::of("", "Pod").unwrap();
        let selector = Selector::parse(pod, "app=web", "").unwrap();
        let (inside, outside) = (entry("{\"app\":\"web\"}", 3), entry("{}", 3));
        let event = |previous: Option<&Entry>, current: Option<&Entry>| Event {
            revision: 9,
            key: "/k".into(),
            previous: previous.cloned(),
            current: current.cloned(),
        };
        let name = |e: Option<WatchEvent>| match e {
            None => "none",
            Some(WatchEvent::Added(_)) => "ADDED",
            Some(WatchEvent::Modified(_)) => "MODIFIED",
            Some(WatchEvent::Deleted(e)) => {
                assert_eq!(e.mod_revision, 9);
                "DELETED"
            }
            Some(_) => "other",
        };
        for (previous, current, expected) in [
            (None, Some(&inside), "ADDED"),
            (Some(&outside), Some(&inside), "ADDED"),
            (Some(&inside), Some(&inside), "MODIFIED"),
            (Some(&inside), Some(&outside), "DELETED"),
            (Some(&inside), None, "DELETED"),
            (Some(&outside), None, "none"),
            (Some(&outside), Some(&outside), "none"),
            (None, Some(&outside), "none"),
        ] {
            assert_eq!(name(project(&selector, &event(previous, current))), expected);
        }
    }
}
