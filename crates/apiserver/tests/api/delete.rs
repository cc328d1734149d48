//! DELETE: propagation, finalizers, grace, preconditions, namespaces.

use crate::server::server;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn the_answer_is_a_status_or_the_object() {
    let s = server().await;
    let map = s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let answer = s
        .delete(
            &format!("{MAPS}/a"),
            &json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}),
        )
        .await;
    assert_eq!(
        answer.json,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "a", "kind": "configmaps", "uid": map["metadata"]["uid"]}})
    );
    let path = "/api/v1/namespaces/default/services";
    s.make(path, &json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})).await;
    assert_eq!(s.delete(&format!("{path}/a"), &json!({})).await.json["kind"], "Service");
    assert_eq!(s.delete(&format!("{path}/a"), &json!({})).await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let s = server().await;
    let one = format!("{MAPS}/a");
    s.make(MAPS, &json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}})).await;
    let marked = s.delete(&one, &json!({})).await.json;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    // no new finalizer, no change of the mark
    let more =
        s.merge(&one, &json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}})).await;
    assert_eq!(more.code, 422, "{}", more.text);
    let unmark =
        s.merge(&one, &json!({"metadata": {"deletionTimestamp": null}, "data": {"a": "b"}})).await.json;
    assert_eq!(unmark["metadata"]["deletionTimestamp"], marked["metadata"]["deletionTimestamp"]);
    assert_eq!(s.get(&one).await.code, 200);
    // the last finalizer goes, and with it the object
    assert_eq!(s.merge(&one, &json!({"metadata": {"finalizers": null}})).await.code, 200);
    assert_eq!(s.get(&one).await.code, 404);
}

#[tokio::test]
async fn propagation_becomes_a_finalizer() {
    let s = server().await;
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
        let marked = s.delete(&format!("{MAPS}/a?propagationPolicy={policy}"), &json!({})).await.json;
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(
            s.delete(&format!("{MAPS}/a?propagationPolicy=Background"), &json!({})).await.json["status"],
            "Success"
        );
    }
    assert_eq!(s.delete(&format!("{MAPS}/a?propagationPolicy=Sideways"), &json!({})).await.code, 422);
}

#[tokio::test]
async fn preconditions_are_kept() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let answer = s.delete(&format!("{MAPS}/a"), &json!({"preconditions": {"uid": "other"}})).await;
    assert_eq!((answer.code, answer.json["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(s.delete(&format!("{MAPS}/a?dryRun=All"), &json!({})).await.code, 200);
    assert_eq!(s.get(&format!("{MAPS}/a")).await.code, 200, "a rehearsal deletes nothing");
}

#[tokio::test]
async fn a_running_pod_is_given_grace() {
    let s = server().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]}});
    s.make(PODS, &pod).await;
    let marked = s.delete(&format!("{PODS}/p"), &json!({})).await.json;
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    // the node says that it is gone
    assert_eq!(s.delete(&format!("{PODS}/p"), &json!({"gracePeriodSeconds": 0})).await.code, 200);
    assert_eq!(s.get(&format!("{PODS}/p")).await.code, 404);
    // nobody runs a Pod without a node
    s.make(PODS, &json!({"metadata": {"name": "q"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .await;
    assert_eq!(s.delete(&format!("{PODS}/q"), &json!({})).await.json["kind"], "Pod");
    assert_eq!(s.get(&format!("{PODS}/q")).await.code, 404);
}

#[tokio::test]
async fn collections() {
    let s = server().await;
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        s.make(MAPS, &json!({"metadata": {"name": name, "labels": {"app": app}}})).await;
    }
    let deleted = s.delete(&format!("{MAPS}?labelSelector=app%3Dx"), &json!({})).await.json;
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    assert_eq!(s.get(MAPS).await.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_namespace_waits_for_its_finalizer_and_takes_nothing_new() {
    let s = server().await;
    let namespace = s.make("/api/v1/namespaces", &json!({"metadata": {"name": "x"}})).await;
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    let path = "/api/v1/namespaces/x/configmaps";
    s.make(path, &json!({"metadata": {"name": "a"}})).await;
    let marked = s.delete("/api/v1/namespaces/x", &json!({})).await.json;
    assert_eq!(marked["status"]["phase"], "Terminating");
    let refused = s.post(path, &json!({"metadata": {"name": "b"}})).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.json["message"],
        "configmaps \"b\" is forbidden: unable to create new content in namespace x because it is being terminated"
    );
    let mut finalized = s.get("/api/v1/namespaces/x").await.json;
    finalized["spec"]["finalizers"] = json!([]);
    assert_eq!(s.put("/api/v1/namespaces/x/finalize", &finalized).await.code, 200);
    assert_eq!(s.get("/api/v1/namespaces/x").await.code, 404);
    for immortal in ["default", "kube-system"] {
        assert_eq!(s.delete(&format!("/api/v1/namespaces/{immortal}"), &json!({})).await.code, 403);
    }
}
