//! What every backend must do: one suite, run on each.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use bytes::Bytes;
use sealane_storage::{
    Condition, EmbeddedStore, Event, Key, MemoryStore, Op, Options, Revision, Store, StoreError, Watch,
};
use std::sync::Arc;
use std::time::Duration;

/// Runs every case on every backend.
macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case(&super::MemoryStore::with_options(super::small())).await; })*
        }
        mod embedded {
            $(#[tokio::test] async fn $case() {
                let directory = tempfile::tempdir().unwrap();
                super::$case(&super::EmbeddedStore::open_with(directory.path(), super::small()).unwrap()).await;
            })*
        }
    };
}

suite!(
    a_new_store_is_empty,
    put_get_and_delete,
    conditions_hold_or_nothing_is_written,
    a_transaction_is_one_revision,
    a_transaction_that_changes_nothing_takes_no_revision,
    the_last_write_of_a_key_counts,
    ranges_page_in_key_order,
    ranges_see_the_past,
    the_future_is_refused,
    a_watch_replays_then_follows,
    a_watch_sees_its_prefix_only,
    a_slow_watch_is_ended,
    compaction_forgets,
    history_is_bounded,
    concurrent_creates_have_one_winner,
    concurrent_increments_lose_none,
    watches_see_every_change_once_in_order_under_load,
);

fn small() -> Options {
    Options { history_events: 500, watch_backlog: 8, ..Options::default() }
}

fn key(key: &str) -> Key {
    key.into()
}

fn put(at: &str, value: &str) -> Op {
    Op::Put(key(at), Bytes::copy_from_slice(value.as_bytes()))
}

fn delete(at: &str) -> Op {
    Op::Delete(key(at))
}

async fn write(store: &dyn Store, ops: Vec<Op>) -> Revision {
    store.txn(vec![], ops).await.unwrap()
}

fn value(store: &dyn Store, at: &str) -> Option<String> {
    store.get(at).map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

fn keys(store: &dyn Store, prefix: &str, at: Option<Revision>) -> Vec<String> {
    store.range(prefix, None, 0, at).unwrap().entries.iter().map(|entry| entry.key.to_string()).collect()
}

async fn next(watch: &mut Watch) -> Arc<Event> {
    tokio::time::timeout(Duration::from_secs(10), watch.recv())
        .await
        .expect("an event")
        .expect("a live watch")
}

async fn a_new_store_is_empty(store: &dyn Store) {
    assert_eq!(store.revision(), 0);
    assert!(store.get("/a").is_none());
    let range = store.range("", None, 0, None).unwrap();
    assert!(range.entries.is_empty() && range.revision == 0 && range.remaining == 0);
}

async fn put_get_and_delete(store: &dyn Store) {
    assert_eq!(write(store, vec![put("/a", "1")]).await, 1);
    assert_eq!(write(store, vec![put("/a", "2")]).await, 2);
    let entry = store.get("/a").unwrap();
    assert_eq!((&*entry.value, entry.create_revision, entry.mod_revision), (&b"2"[..], 1, 2));
    assert_eq!(write(store, vec![delete("/a")]).await, 3);
    assert!(store.get("/a").is_none());
    write(store, vec![put("/a", "3")]).await;
    assert_eq!(store.get("/a").unwrap().create_revision, 4, "a key that was deleted is created anew");
}

async fn conditions_hold_or_nothing_is_written(store: &dyn Store) {
    let first = write(store, vec![put("/a", "1")]).await;
    let all = vec![
        Condition::Present(key("/a")),
        Condition::ModRevision(key("/a"), first),
        Condition::Absent(key("/b")),
    ];
    let second = store.txn(all, vec![put("/a", "2"), put("/b", "1")]).await.unwrap();
    for failing in [
        Condition::Absent(key("/a")),
        Condition::Present(key("/c")),
        Condition::ModRevision(key("/a"), first),
        Condition::ModRevision(key("/c"), second),
    ] {
        let conditions = vec![Condition::Present(key("/b")), failing.clone()];
        match store.txn(conditions, vec![put("/a", "3"), delete("/b")]).await {
            Err(StoreError::Conflict { condition, current }) => {
                assert_eq!(condition, failing);
                let (Condition::Absent(at) | Condition::Present(at) | Condition::ModRevision(at, _)) =
                    &failing;
                assert_eq!(current, store.get(at));
            }
            other => panic!("{failing:?} led to {other:?}"),
        }
    }
    assert_eq!((value(store, "/a").as_deref(), value(store, "/b").as_deref()), (Some("2"), Some("1")));
    assert_eq!(store.revision(), second);
}

async fn a_transaction_is_one_revision(store: &dyn Store) {
    write(store, vec![put("/old", "1")]).await;
    let mut watch = store.watch("/", 1).unwrap();
    let revision = write(store, vec![put("/a", "1"), put("/b", "1"), delete("/old")]).await;
    assert_eq!(revision, 2);
    for expected in ["/a", "/b", "/old"] {
        let event = next(&mut watch).await;
        assert_eq!((&*event.key, event.revision), (expected, 2));
    }
    assert_eq!(keys(store, "/", Some(1)), ["/old"]);
    assert_eq!(keys(store, "/", Some(2)), ["/a", "/b"]);
}

async fn a_transaction_that_changes_nothing_takes_no_revision(store: &dyn Store) {
    assert_eq!(write(store, vec![delete("/nothing")]).await, 0);
    write(store, vec![put("/a", "1")]).await;
    assert_eq!(store.txn(vec![Condition::Present(key("/a"))], vec![]).await.unwrap(), 1);
    assert_eq!(write(store, vec![put("/b", "1"), delete("/b")]).await, 1);
    assert_eq!(write(store, vec![put("/a", "1")]).await, 2, "a put is a change, whatever the value");
}

async fn the_last_write_of_a_key_counts(store: &dyn Store) {
    let mut watch = store.watch("/", 0).unwrap();
    write(store, vec![put("/a", "1"), delete("/a"), put("/a", "2")]).await;
    assert_eq!(value(store, "/a").as_deref(), Some("2"));
    let event = next(&mut watch).await;
    assert_eq!((event.previous.is_none(), &*event.current.as_ref().unwrap().value), (true, &b"2"[..]));
    assert!(watch.try_recv().is_err(), "one event a key and transaction");
}

async fn ranges_page_in_key_order(store: &dyn Store) {
    write(store, ["/p/c", "/p/a", "/q", "/p/b", "/p", "/p/d"].iter().map(|at| put(at, "1")).collect()).await;
    assert_eq!(keys(store, "/p/", None), ["/p/a", "/p/b", "/p/c", "/p/d"]);
    assert_eq!(keys(store, "", None).len(), 6);
    let page = |after: Option<&str>| {
        let range = store.range("/p/", after, 2, None).unwrap();
        (range.entries.iter().map(|entry| entry.key.to_string()).collect::<Vec<_>>(), range.remaining)
    };
    assert_eq!(page(None), (vec!["/p/a".into(), "/p/b".into()], 2));
    assert_eq!(page(Some("/p/b")), (vec!["/p/c".into(), "/p/d".into()], 0));
    assert_eq!(page(Some("/p/bb")).0, ["/p/c", "/p/d"], "the key to start after may be gone");
    assert_eq!(page(Some("/a")), (vec!["/p/a".into(), "/p/b".into()], 2));
    assert_eq!(page(Some("/z")), (vec![], 0));
}

async fn ranges_see_the_past(store: &dyn Store) {
    write(store, vec![put("/a", "1")]).await;
    write(store, vec![put("/b", "1"), put("/a", "2")]).await;
    write(store, vec![delete("/a")]).await;
    assert_eq!(keys(store, "/", Some(0)), [""; 0]);
    assert_eq!(keys(store, "/", Some(1)), ["/a"]);
    assert_eq!(keys(store, "/", Some(2)), ["/a", "/b"]);
    assert_eq!(keys(store, "/", Some(3)), ["/b"]);
    let then = store.range("/a", None, 0, Some(1)).unwrap();
    assert_eq!((&*then.entries[0].value, then.revision), (&b"1"[..], 1));
    let page = store.range("/", None, 1, Some(2)).unwrap();
    assert_eq!((page.entries.len(), page.remaining), (1, 1));
}

async fn the_future_is_refused(store: &dyn Store) {
    write(store, vec![put("/a", "1")]).await;
    let is_future = |error| matches!(error, StoreError::Future { requested: 2, newest: 1 });
    assert!(is_future(store.range("/", None, 0, Some(2)).unwrap_err()));
    assert!(is_future(store.watch("/", 2).unwrap_err()));
    assert!(is_future(store.compact(2).await.unwrap_err()));
}

async fn a_watch_replays_then_follows(store: &dyn Store) {
    for value in 1..=20 {
        write(store, vec![put("/a", &value.to_string())]).await;
    }
    let mut watch = store.watch("/a", 5).unwrap();
    write(store, vec![delete("/a")]).await;
    for revision in 6..=20 {
        let event = next(&mut watch).await;
        assert_eq!((event.revision, event.current.as_ref().unwrap().mod_revision), (revision, revision));
        assert_eq!(event.previous.as_ref().unwrap().mod_revision, revision - 1);
    }
    let event = next(&mut watch).await;
    assert!(event.current.is_none());
    assert_eq!(event.previous.as_ref().unwrap().value, "20");
    assert!(watch.try_recv().is_err());
}

async fn a_watch_sees_its_prefix_only(store: &dyn Store) {
    write(store, vec![put("/pods/a", "1"), put("/podsets/a", "1")]).await;
    let mut watch = store.watch("/pods/", 0).unwrap();
    write(store, vec![put("/services/a", "1"), put("/pods/b", "1")]).await;
    assert_eq!(&*next(&mut watch).await.key, "/pods/a");
    assert_eq!(&*next(&mut watch).await.key, "/pods/b");
    assert!(watch.try_recv().is_err());
}

async fn a_slow_watch_is_ended(store: &dyn Store) {
    write(store, vec![put("/a", "0"), put("/b", "0")]).await;
    let (mut slow, mut other) = (store.watch("/a", 0).unwrap(), store.watch("/b", 0).unwrap());
    for value in 0..20 {
        write(store, vec![put("/a", &value.to_string())]).await;
    }
    let mut seen = Vec::new();
    while let Some(event) = slow.recv().await {
        seen.push(event.revision);
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>(), "what it asked for, the backlog of 8, then the end");
    let mut again = store.watch("/a", 9).unwrap();
    assert_eq!(next(&mut again).await.revision, 10, "it starts again where it was");
    write(store, vec![put("/b", "1")]).await;
    assert_eq!((next(&mut other).await.revision, next(&mut other).await.revision), (1, 22));
}

async fn compaction_forgets(store: &dyn Store) {
    write(store, vec![put("/a", "1"), put("/gone", "1")]).await;
    write(store, vec![put("/a", "2")]).await;
    write(store, vec![delete("/gone")]).await;
    write(store, vec![put("/a", "3")]).await;
    store.compact(3).await.unwrap();
    let compacted = |error| matches!(error, StoreError::Compacted { requested: 2, oldest: 3 });
    assert!(compacted(store.range("/", None, 0, Some(2)).unwrap_err()));
    assert!(compacted(store.watch("/", 2).unwrap_err()));
    let then = store.range("/", None, 0, Some(3)).unwrap();
    assert_eq!((then.entries.len(), &*then.entries[0].value), (1, &b"2"[..]));
    assert_eq!(value(store, "/a").as_deref(), Some("3"));
    assert_eq!(next(&mut store.watch("/", 3).unwrap()).await.revision, 4);
    store.compact(1).await.unwrap();
    assert!(compacted(store.watch("/", 2).unwrap_err()), "compaction never goes back");
}

async fn history_is_bounded(store: &dyn Store) {
    for _ in 0..51 {
        write(store, (0..10).map(|n| put(&format!("/{n}"), "x")).collect()).await;
    }
    assert!(matches!(store.watch("/", 0), Err(StoreError::Compacted { requested: 0, oldest: 1 })));
    assert_eq!(keys(store, "/", Some(1)).len(), 10);
}

async fn concurrent_creates_have_one_winner(store: &dyn Store) {
    let create = |n: u32| store.txn(vec![Condition::Absent(key("/a"))], vec![put("/a", &n.to_string())]);
    let outcomes = futures_join((0..50).map(create)).await;
    let winners: Vec<_> = (0..50).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(value(store, "/a").unwrap(), winners[0].to_string());
    assert_eq!(store.revision(), 1);
}

async fn concurrent_increments_lose_none(store: &dyn Store) {
    write(store, vec![put("/n", "0")]).await;
    let increment = |_| async {
        loop {
            let entry = store.get("/n").unwrap();
            let n: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
            let condition = Condition::ModRevision(key("/n"), entry.mod_revision);
            match store.txn(vec![condition], vec![put("/n", &(n + 1).to_string())]).await {
                Ok(_) => return,
                Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    futures_join((0..20).map(increment)).await;
    assert_eq!(value(store, "/n").as_deref(), Some("20"));
}

async fn watches_see_every_change_once_in_order_under_load(store: &dyn Store) {
    let writer = |task: u32| async move {
        for n in 0..20 {
            write(store, vec![put(&format!("/{task}"), &n.to_string())]).await;
            tokio::task::yield_now().await;
        }
    };
    let watcher = |_| async move {
        let (mut watch, mut after) = (store.watch("/", 0).unwrap(), 0);
        while after < 200 {
            match watch.recv().await {
                Some(event) => {
                    assert_eq!(event.revision, after + 1);
                    after = event.revision;
                }
                None => watch = store.watch("/", after).unwrap(),
            }
        }
    };
    tokio::join!(futures_join((0..10).map(writer)), futures_join((0..5).map(watcher)));
}

/// Polls all at once, on this task.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, outcome) in &mut all {
            if outcome.is_none()
                && let std::task::Poll::Ready(ready) = one.as_mut().poll(context)
            {
                *outcome = Some(ready);
            }
        }
        if all.iter().all(|(_, outcome)| outcome.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, outcome)| outcome).collect()
}
