//! WATCH.

use crate::server::server;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, app: &str) -> serde_json::Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}})
}

#[tokio::test]
async fn a_watch_sees_what_happens_after_its_revision() {
    let s = server().await;
    let first = s.make(MAPS, &map("a", "x")).await;
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = s.watch(&format!("{MAPS}?watch=true&resourceVersion={revision}")).await;
    let second = s.make(MAPS, &map("b", "x")).await;
    s.merge(&format!("{MAPS}/b"), &json!({"data": {"k": "v"}})).await;
    s.delete(&format!("{MAPS}/a"), &json!({})).await;
    let added = events.next().await.unwrap();
    assert_eq!(added["type"], "ADDED");
    assert_eq!(added["object"], second);
    assert_eq!(events.next_name().await, "MODIFIED b");
    let deleted = events.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["metadata"]["uid"], first["metadata"]["uid"]);
    assert_ne!(deleted["object"]["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn selectors_turn_changes_into_additions_and_deletions() {
    let s = server().await;
    s.make(MAPS, &map("a", "x")).await;
    let mut events = s.watch(&format!("{MAPS}?watch=1&labelSelector=app%3Dx")).await;
    assert_eq!(events.next_name().await, "ADDED a");
    s.make(MAPS, &map("b", "y")).await;
    s.merge(&format!("{MAPS}/b"), &json!({"metadata": {"labels": {"app": "x"}}})).await;
    assert_eq!(events.next_name().await, "ADDED b");
    s.merge(&format!("{MAPS}/a"), &json!({"metadata": {"labels": {"app": "y"}}})).await;
    assert_eq!(events.next_name().await, "DELETED a");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let s = server().await;
    s.make(MAPS, &map("a", "x")).await;
    let path =
        "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = s.watch(&format!("{MAPS}{path}")).await;
    assert_eq!(events.next_name().await, "ADDED a");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let answer = s.get(&format!("{MAPS}?watch=true&sendInitialEvents=true")).await;
    assert_eq!(answer.code, 422);
}

#[tokio::test]
async fn a_watch_ends_in_time() {
    let s = server().await;
    s.make(MAPS, &map("a", "x")).await;
    let mut events = s.watch(&format!("{MAPS}?watch=true&timeoutSeconds=1")).await;
    assert_eq!(events.next_name().await, "ADDED a");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_gone() {
    use sealane_storage::Store as _;
    let s = server().await;
    s.make(MAPS, &map("a", "x")).await;
    s.make(MAPS, &map("b", "x")).await;
    s.store.compact(s.store.revision()).await.unwrap();
    let mut events = s.watch(&format!("{MAPS}?watch=true&resourceVersion=1")).await;
    let error = events.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!(error["object"]["code"], 410);
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(events.next().await.is_none());
    assert_eq!(s.get(&format!("{MAPS}?watch=true&resourceVersion=x")).await.code, 422);
}

#[tokio::test]
async fn a_watch_as_table_names_the_columns_once() {
    let s = server().await;
    s.make(MAPS, &map("a", "x")).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let mut events = s.watch_as(&format!("{MAPS}?watch=true"), accept).await;
    let first = events.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(first["object"]["rows"][0]["object"]["metadata"]["name"], "a");
    s.make(MAPS, &map("b", "x")).await;
    let second = events.next().await.unwrap();
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert!(second["object"]["columnDefinitions"].as_array().is_none_or(Vec::is_empty));
}
