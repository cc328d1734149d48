//! What only a store on a disk has: restarts, refusals, a full disk.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use redb::{Database, TableDefinition};
use sealane_storage::{Condition, EmbeddedStore, Op, Store, StoreError};
use std::path::Path;
use std::time::{Duration, Instant};

async fn put(store: &EmbeddedStore, key: &str, value: &[u8]) -> Result<u64, StoreError> {
    store.txn(vec![], vec![Op::Put(key.into(), value.to_vec().into())]).await
}

#[tokio::test]
async fn a_restart_keeps_entries_and_revisions_and_forgets_history() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/demand");
    let before = {
        let store = EmbeddedStore::open(&path).unwrap();
        for (key, value) in [("/a", "1"), ("/b", "1"), ("/a", "2")] {
            put(&store, key, value.as_bytes()).await.unwrap();
        }
        store.txn(vec![], vec![Op::Delete("/b".into())]).await.unwrap();
        store.range("", None, 0, None).unwrap()
    };
    let store = EmbeddedStore::open(&path).unwrap();
    let after = store.range("", None, 0, None).unwrap();
    assert_eq!((after.entries, after.revision), (before.entries, 4));
    assert!(matches!(store.watch("/", 3), Err(StoreError::Compacted { requested: 3, oldest: 4 })));
    let mut watch = store.watch("/", 4).unwrap();
    assert_eq!(put(&store, "/c", b"1").await.unwrap(), 5);
    assert_eq!(watch.recv().await.unwrap().revision, 5);
}

#[tokio::test]
async fn transactions_that_wait_share_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(EmbeddedStore::open(directory.path()).unwrap());
    let one = Instant::now();
    put(&store, "/warm", b"1").await.unwrap();
    let one = one.elapsed();
    let all = Instant::now();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { put(&store, &format!("/{n}"), b"1").await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("one transaction {one:?}, 200 at once {:?}", all.elapsed());
    assert_eq!(store.revision(), 201);
    assert!(
        all.elapsed() < one.max(Duration::from_millis(5)) * 50,
        "{:?} for 200, {one:?} for one",
        all.elapsed()
    );
}

fn refusal(path: &Path) -> String {
    EmbeddedStore::open(path).expect_err("a refusal").to_string()
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert!(refusal(directory.path()).contains("in use by another process"));
    drop(store);
    EmbeddedStore::open(directory.path()).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    let file = directory.path().join("store.redb");
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("schema", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = std::fs::read(&file).unwrap();
    let error = refusal(directory.path());
    assert!(error.contains("its schema is 7, this version knows up to 1"), "{error}");
    assert!(std::fs::read(&file).unwrap() == before);
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    for content in [&b"SQLite format 3\0 and so on"[..], &[0; 9_000], b"x", b""] {
        std::fs::write(&file, content).unwrap();
        let error = refusal(directory.path());
        assert!(error.contains("is not a store of this program"), "{error}");
        assert!(std::fs::read(&file).unwrap() == content);
    }
    std::fs::remove_file(&file).unwrap();
    drop(Database::create(&file).unwrap());
    let before = std::fs::read(&file).unwrap();
    assert!(refusal(directory.path()).contains("is not a store of this program"));
    assert!(std::fs::read(&file).unwrap() == before);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refusal(&file);
    assert!(error.contains("making the directory") && error.contains("file"), "{error}");
}

/// In a mount namespace of its own, on a file system of 4 MiB.
#[test]
fn a_full_disk_makes_it_read_only_until_there_is_room() {
    let outcome = std::thread::spawn(|| {
        if !private_mounts() {
            eprintln!("skipped: needs root");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        mount_tmpfs(directory.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = std::panic::catch_unwind(|| runtime.block_on(fill_and_free(directory.path())));
        rustix::mount::unmount(directory.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        outcome.unwrap();
    });
    outcome.join().unwrap();
}

#[allow(
    unsafe_code,
    reason = "a mount namespace for this thread only, which shares no file descriptors' table"
)]
fn private_mounts() -> bool {
    use rustix::mount::{MountPropagationFlags, mount_change};
    // SAFETY: CLONE_NEWNS alone unshares mounts and the working directory, no memory and no file descriptors.
    let unshared = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) };
    unshared.is_ok() && mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).is_ok()
}

fn mount_tmpfs(at: &Path) {
    use rustix::mount::{MountFlags, mount};
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=4m")).unwrap();
}

async fn fill_and_free(directory: &Path) {
    let store = EmbeddedStore::open(&directory.join("store")).unwrap();
    put(&store, "/before", b"kept").await.unwrap();
    std::fs::write(directory.join("ballast"), vec![1; 1 << 20]).unwrap();
    let (mut written, big) = (0, vec![7; 100_000]);
    let error = loop {
        match put(&store, &format!("/{written}"), &big).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "4 MiB took {written} values of 100 kB");
    };
    assert!(matches!(&error, StoreError::Full { path } if path.ends_with("store.redb")), "{error:?}");
    let revision = store.revision();
    assert!(store.get("/before").is_some() && store.get(&format!("/{written}")).is_none(), "reads go on");
    assert!(matches!(put(&store, "/small", b"x").await, Err(StoreError::Full { .. })), "read-only at once");
    std::fs::remove_file(directory.join("ballast")).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(error) = put(&store, "/after", b"x").await {
        assert!(matches!(error, StoreError::Full { .. }) && Instant::now() < end, "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(store.revision() <= revision + 2);
    let conditions = vec![Condition::Present("/before".into()), Condition::Present("/after".into())];
    store.txn(conditions, vec![]).await.unwrap();
    let (now, entries) = (store.revision(), store.range("", None, 0, None).unwrap().entries);
    drop(store);
    let store = EmbeddedStore::open(&directory.join("store")).unwrap();
    assert_eq!((store.revision(), store.range("", None, 0, None).unwrap().entries), (now, entries));
}
