//! What memory holds after compaction, and when watches go.

use super::Mvcc;
use crate::stage::Stage;
use crate::{Op, Options};
use std::time::Duration;

fn commit(mvcc: &mut Mvcc, ops: Vec<Op>) {
    let mut stage = Stage::new(mvcc);
    stage.txn(vec![], ops).unwrap();
    let events = stage.into_events();
    mvcc.publish(&events);
}

fn put(key: &str) -> Op {
    Op::Put(key.into(), "x".into())
}

#[test]
fn compaction_keeps_what_is_live_and_nothing_else() {
    let mut mvcc = Mvcc::new(0, vec![], Options::default());
    commit(&mut mvcc, vec![put("/a"), put("/b"), put("/c")]);
    commit(&mut mvcc, vec![put("/a"), Op::Delete("/b".into())]);
    commit(&mut mvcc, vec![put("/a"), Op::Delete("/c".into())]);
    mvcc.compact(2).unwrap();
    let versions = |key: &str| mvcc.keys.get(key).map(Vec::len);
    assert_eq!((versions("/a"), versions("/b"), versions("/c")), (Some(2), None, Some(2)));
    assert_eq!(mvcc.log.len(), 2);
    mvcc.compact(3).unwrap();
    assert_eq!((mvcc.keys.len(), mvcc.keys["/a"].len(), mvcc.log.len()), (1, 1, 0));
}

#[test]
fn a_restored_state_is_compacted_like_any_other() {
    let mut mvcc = Mvcc::new(0, vec![], Options::default());
    commit(&mut mvcc, vec![put("/a"), put("/b")]);
    let entries = mvcc.range("", None, 0, None).unwrap().entries;
    let mut restored = Mvcc::new(7, entries, Options::default());
    commit(&mut restored, vec![Op::Delete("/a".into()), put("/b")]);
    restored.compact(8).unwrap();
    assert_eq!((restored.keys.len(), restored.keys["/b"].len()), (1, 1));
}

#[test]
fn old_history_goes_by_itself() {
    let options = Options { history_age: Duration::ZERO, ..Options::default() };
    let mut mvcc = Mvcc::new(0, vec![], options);
    for _ in 0..100 {
        commit(&mut mvcc, vec![put("/a"), put("/b")]);
    }
    assert!(mvcc.log.len() <= 2 && mvcc.keys["/a"].len() <= 2, "{} events", mvcc.log.len());
}

#[test]
fn watches_nobody_reads_are_forgotten() {
    let mut mvcc = Mvcc::new(0, vec![], Options::default());
    let (kept, dropped) = (mvcc.watch("/a", 0).unwrap(), mvcc.watch("/b", 0).unwrap());
    drop(dropped);
    commit(&mut mvcc, vec![put("/a")]);
    assert_eq!(mvcc.watchers.len(), 1);
    drop(kept);
    commit(&mut mvcc, vec![put("/c")]);
    assert_eq!(mvcc.watchers.len(), 0);
}
