//! A store that is killed under load, again and again, loses nothing that it acknowledged and keeps no half transaction.
//!
//! The child is this test binary itself, started anew with a directory to write to.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use sealane_storage::{EmbeddedStore, Key, Op, Store};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DIRECTORY: &str = "KILL_TEST_DIRECTORY";
const TASKS: u64 = 8;
const ROUNDS: u64 = 50;
/// Each task keeps so many of its last writes; older ones are deleted by the same transactions.
const KEPT: u64 = 16;

/// Not a test of its own: writes until it is killed, one line for each acknowledged transaction.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(EmbeddedStore::open(Path::new(&directory)).unwrap());
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(write_for_ever(store.clone(), task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn write_for_ever(store: Arc<EmbeddedStore>, task: u64) {
    let mut n = number(&*store, &format!("/{task}/first"));
    loop {
        n += 1;
        let value = n.to_string();
        let long = format!("{n} {}", "x".repeat(usize::try_from(n * 37 % 3_000).unwrap()));
        let mut ops = vec![
            Op::Put(key(task, "first"), value.clone().into()),
            Op::Put(log_key(task, n), long.into()),
            Op::Put(key(task, "last"), value.into()),
        ];
        if n > KEPT {
            ops.push(Op::Delete(log_key(task, n - KEPT)));
        }
        let revision = store.txn(vec![], ops).await.unwrap();
        std::io::stdout().write_all(format!("\nack {task} {n} {revision}\n").as_bytes()).unwrap();
    }
}

fn key(task: u64, name: &str) -> Key {
    format!("/{task}/{name}").into()
}

fn log_key(task: u64, n: u64) -> Key {
    format!("/{task}/log/{n:08}").into()
}

fn number(store: &dyn Store, key: &str) -> u64 {
    store.get(key).map_or(0, |entry| std::str::from_utf8(&entry.value).unwrap().parse().unwrap())
}

/// All that was acknowledged: the revision of each task's writes.
type Acknowledged = HashMap<u64, BTreeMap<u64, u64>>;

/// Lets a child write for a while, kills it and notes what it had acknowledged.
fn one_round(directory: &Path, time: Duration, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut lines, mut line, mut stdout) = (Vec::new(), String::new(), BufReader::new(stdout));
        while stdout.read_line(&mut line).is_ok_and(|length| length > 0) {
            if line.ends_with('\n') {
                lines.extend(line.strip_prefix("ack ").map(|rest| rest.trim().to_string()));
            }
            line.clear();
        }
        lines
    });
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in reader.join().unwrap() {
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        acknowledged.entry(numbers[0]).or_default().insert(numbers[1], numbers[2]);
    }
}

/// What is wrong with the store, if anything.
fn fault(store: &dyn Store, acknowledged: &Acknowledged) -> Option<String> {
    for task in 0..TASKS {
        let (first, last) = (number(store, &key(task, "first")), number(store, &key(task, "last")));
        if first != last {
            return Some(format!("half a transaction: task {task} has {first} and {last}"));
        }
        let log: Vec<_> = store.range(&format!("/{task}/log/"), None, 0, None).unwrap().entries;
        let expected: Vec<_> = (first.saturating_sub(KEPT) + 1..=first).map(|n| log_key(task, n)).collect();
        if first > 0 && log.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>() != expected {
            return Some(format!("half a transaction: task {task} at {first} has {} log keys", log.len()));
        }
        let Some(writes) = acknowledged.get(&task) else { continue };
        let newest = writes.last_key_value().map_or(0, |(n, _)| *n);
        if newest > first {
            return Some(format!("task {task} lost acknowledged {newest}, it has {first}"));
        }
        for (n, revision) in writes.range(first.saturating_sub(KEPT) + 1..) {
            let entry = store.get(&log_key(task, *n)).unwrap();
            if entry.mod_revision != *revision || !entry.value.starts_with(format!("{n} ").as_bytes()) {
                return Some(format!("task {task} write {n} was revision {revision}, is {entry:?}"));
            }
        }
    }
    None
}

fn count(acknowledged: &Acknowledged) -> usize {
    acknowledged.values().map(BTreeMap::len).sum()
}

#[test]
fn fifty_kills_lose_no_acknowledged_write() {
    if std::env::var(DIRECTORY).is_ok() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    let (started, mut revision) = (Instant::now(), 0);
    for round in 0..ROUNDS {
        // Spread over starting, the first writes and the middle of the load, by a fixed pseudo-random sequence.
        let time = Duration::from_micros(20_000 + round * 7_919_993 % 230_000);
        one_round(directory.path(), time, &mut acknowledged);
        let store = EmbeddedStore::open(directory.path()).unwrap();
        assert_eq!(fault(&store, &acknowledged), None, "round {round}");
        assert!(store.revision() >= revision, "revisions never go back");
        revision = store.revision();
    }
    let (count, took) = (count(&acknowledged), started.elapsed());
    println!("{ROUNDS} kills, {count} acknowledged transactions, 0 lost, {took:.1?}");
    assert!(
        count > 500,
        "only {count} acknowledged writes: this machine is too slow for the test to mean anything"
    );
}

#[test]
fn damage_is_named_or_harmless_and_never_a_silent_loss() {
    if std::env::var(DIRECTORY).is_ok() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    while count(&acknowledged) < 100 {
        one_round(directory.path(), Duration::from_millis(300), &mut acknowledged);
    }
    let whole = std::fs::read(directory.path().join("store.redb")).unwrap();
    let (mut refused, mut opened) = (0, 0);
    for (what, damaged) in damages(&whole) {
        let copy = tempfile::tempdir().unwrap();
        let file = copy.path().join("store.redb");
        std::fs::write(&file, &damaged).unwrap();
        std::fs::copy(directory.path().join("acknowledged"), copy.path().join("acknowledged")).unwrap();
        match EmbeddedStore::open(copy.path()) {
            Ok(store) => {
                assert_eq!(fault(&store, &acknowledged), None, "after {what}");
                opened += 1;
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("store.redb") && error.contains("move"), "{what}: {error}");
                assert!(std::fs::read(&file).unwrap() == damaged, "{what}: the refused file was changed");
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {opened} opened with everything");
    assert!(refused > 10 && opened > 0);
}

/// Copies with their tail cut, their tail overwritten, or a stretch in the middle overwritten.
fn damages(whole: &[u8]) -> Vec<(String, Vec<u8>)> {
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut all = vec![("nothing".to_string(), whole.to_vec())];
    for cut in [1, 512, 4_096, 10_000, 65_536, used / 2, used - 100] {
        all.push((format!("cut at {}", used - cut), whole[..used - cut].to_vec()));
        let mut torn = whole.to_vec();
        torn[used - cut..used].fill(0);
        all.push((format!("zeros from {}", used - cut), torn));
    }
    for n in 0..60 {
        let (at, length) = (n * 7_919_993 % used, [1, 16, 512, 4_096][n % 4]);
        let mut garbled = whole.to_vec();
        for byte in garbled.iter_mut().skip(at).take(length) {
            *byte = byte.wrapping_mul(167).wrapping_add(13);
        }
        all.push((format!("{length} bytes garbled at {at}"), garbled));
    }
    all
}
