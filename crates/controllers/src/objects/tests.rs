//! Own writes and the watch, in every order.

use super::cache::revision_of;
use super::{Cache, Key, Sink};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::ObjectMeta;

fn object(name: &str, uid: &str, revision: u64) -> ConfigMap {
    let metadata = ObjectMeta {
        namespace: Some("default".into()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        resource_version: Some(revision.to_string()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn shown(cache: &Cache<ConfigMap>) -> Vec<String> {
    let all = cache.all();
    all.iter()
        .map(|o| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}:{}@{}", part(&o.metadata.name), part(&o.metadata.uid), revision_of(&o.metadata))
        })
        .collect()
}

enum Step {
    List(&'static [(&'static str, &'static str, u64)], u64),
    Apply(&'static str, &'static str, u64),
    Delete(&'static str, &'static str, u64),
    Written(&'static str, &'static str, u64),
    Gone(&'static str, &'static str, u64),
}

fn take(cache: &Cache<ConfigMap>, step: Step) {
    match step {
        Step::List(objects, at) => {
            cache.replace(objects.iter().map(|(n, u, r)| object(n, u, *r)).collect(), at)
        }
        Step::Apply(n, u, r) => cache.apply(object(n, u, r)),
        Step::Delete(n, u, r) => cache.delete(object(n, u, r)),
        Step::Written(n, u, r) => drop(cache.written(object(n, u, r))),
        Step::Gone(n, u, r) => cache.deleting(&Key::new("default", n), Some(object(n, u, r))),
    }
}

#[test]
fn own_writes_and_the_watch_agree() {
    use Step::{Apply, Delete, Gone, List, Written};
    let table: Vec<(&str, Vec<Step>, &[&str])> = vec![
        ("a write is seen at once", vec![List(&[], 1), Written("a", "1", 2)], &["a:1@2"]),
        (
            "its late event changes nothing",
            vec![List(&[], 1), Written("a", "1", 3), Apply("a", "1", 2)],
            &["a:1@3"],
        ),
        (
            "an answer that comes after the object's deletion does not revive it",
            vec![List(&[], 1), Apply("a", "1", 2), Delete("a", "1", 3), Written("a", "1", 2)],
            &[],
        ),
        (
            "a write after a list survives it",
            vec![List(&[], 1), Written("a", "1", 9), List(&[], 5)],
            &["a:1@9"],
        ),
        (
            "a list drops what vanished",
            vec![List(&[("a", "1", 2)], 2), List(&[("b", "2", 4)], 5)],
            &["b:2@4"],
        ),
        (
            "a delete of the former object spares its successor",
            vec![List(&[("a", "1", 2)], 2), Gone("a", "1", 2), Written("a", "2", 4), Delete("a", "1", 3)],
            &["a:2@4"],
        ),
        (
            "a late event of a deleted object does not revive it",
            vec![List(&[("a", "1", 2)], 2), Gone("a", "1", 2), Apply("a", "1", 3)],
            &[],
        ),
    ];
    for (what, steps, expected) in table {
        let cache = Cache::new();
        steps.into_iter().for_each(|step| take(&cache, step));
        assert_eq!(shown(&cache), expected, "{what}");
    }
}

#[test]
fn a_graceful_delete_is_seen_at_once() {
    let cache = Cache::new();
    cache.replace(vec![object("a", "1", 2)], 2);
    let mut answer = object("a", "1", 3);
    answer.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    cache.deleting(&Key::new("default", "a"), Some(answer));
    let cached = cache.get(&Key::new("default", "a")).unwrap();
    assert!(cached.metadata.deletion_timestamp.is_some());
}
