//! GET and LIST.

use crate::server::server;
use sealane_storage::Store as _;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn names(list: &serde_json::Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let s = server().await;
    for name in ["a", "b", "c", "d", "e"] {
        s.make(
            MAPS,
            &json!({"metadata": {"name": name, "labels": {"odd": (name != "b" && name != "d").to_string()}}}),
        )
        .await;
    }
    let first = s.get(&format!("{MAPS}?limit=2")).await.json;
    assert_eq!(first["kind"], "ConfigMapList");
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    // what happens between pages is not seen
    s.delete(&format!("{MAPS}/d"), &json!({})).await;
    s.make(MAPS, &json!({"metadata": {"name": "bb"}})).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = s.get(&format!("{MAPS}?limit=2&continue={token}")).await.json;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = s.get(&format!("{MAPS}?limit=2&continue={token}")).await.json;
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"]["continue"].is_null());
    // with a selector
    let first = s.get(&format!("{MAPS}?limit=1&labelSelector=odd%3Dtrue")).await.json;
    assert_eq!(names(&first), ["a"]);
    assert!(first["metadata"]["remainingItemCount"].is_null());
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(
        names(&s.get(&format!("{MAPS}?labelSelector=odd%3Dtrue&continue={token}")).await.json),
        ["c", "e"]
    );
    // a token of a revision that is gone
    s.make(MAPS, &json!({"metadata": {"name": "f"}})).await;
    s.store.compact(s.store.revision()).await.unwrap();
    let answer = s.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    assert_eq!((answer.code, answer.json["reason"].as_str()), (410, Some("Expired")));
    for bad in ["x", "e30", "%00"] {
        assert_eq!(s.get(&format!("{MAPS}?continue={bad}")).await.code, 400);
    }
}

#[tokio::test]
async fn lists_select() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a", "labels": {"app": "web"}}})).await;
    s.make("/api/v1/namespaces/kube-system/configmaps", &json!({"metadata": {"name": "b"}})).await;
    for (query, expected) in [
        ("", vec!["a", "b"]),
        ("labelSelector=app", vec!["a"]),
        ("labelSelector=app+notin+(web)", vec!["b"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=metadata.namespace%3Ddefault", vec!["a"]),
        ("fieldSelector=metadata.namespace!%3Ddefault", vec!["b"]),
    ] {
        let list = s.get(&format!("/api/v1/configmaps?{query}")).await;
        assert_eq!(names(&list.json), expected, "{query}");
    }
    let answer = s.get(&format!("{MAPS}?fieldSelector=data.x%3D1")).await;
    assert_eq!(
        (answer.code, answer.json["message"].as_str()),
        (400, Some("field label not supported: data.x"))
    );
    assert_eq!(s.get(&format!("{MAPS}?labelSelector=a%20b")).await.code, 400);
}

#[tokio::test]
async fn lists_at_a_revision() {
    let s = server().await;
    let a = s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let at = a["metadata"]["resourceVersion"].as_str().unwrap();
    s.make(MAPS, &json!({"metadata": {"name": "b"}})).await;
    let exact = s.get(&format!("{MAPS}?resourceVersion={at}&resourceVersionMatch=Exact")).await.json;
    assert_eq!(names(&exact), ["a"]);
    assert_eq!(exact["metadata"]["resourceVersion"], at);
    for query in [
        format!("resourceVersion={at}"),
        "resourceVersion=0".into(),
        format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan"),
    ] {
        assert_eq!(names(&s.get(&format!("{MAPS}?{query}")).await.json), ["a", "b"], "{query}");
    }
    let future = s.get(&format!("{MAPS}?resourceVersion=99999999")).await;
    assert_eq!((future.code, future.json["reason"].as_str()), (504, Some("Timeout")));
    for query in [
        "resourceVersion=abc",
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "sendInitialEvents=true",
    ] {
        assert_eq!(s.get(&format!("{MAPS}?{query}")).await.code, 422, "{query}");
    }
}

#[tokio::test]
async fn forms_of_answers() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await;
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = s.get_as(MAPS, partial).await.json;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert!(list["items"][0]["data"].is_null());
    let table = s.get_as(MAPS, "application/json;as=Table;g=meta.k8s.io;v=v1,application/json").await.json;
    assert_eq!((table["kind"].as_str(), table["rows"][0]["cells"][0].as_str()), (Some("Table"), Some("a")));
    let table = s.get_as(&format!("{MAPS}/a"), "application/json;as=Table;g=meta.k8s.io;v=v1").await.json;
    assert_eq!(table["rows"].as_array().unwrap().len(), 1);
    assert_eq!(s.get_as(MAPS, "application/vnd.kubernetes.protobuf").await.code, 406);
    assert_eq!(s.get_as(MAPS, "application/vnd.kubernetes.protobuf,application/json").await.code, 200);
    let missing = s.get(&format!("{MAPS}/zz")).await;
    assert_eq!(
        missing.json,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404, "reason": "NotFound",
            "message": "configmaps \"zz\" not found", "details": {"name": "zz", "kind": "configmaps"}})
    );
}

#[tokio::test]
async fn large_lists_are_packed_for_who_takes_that() {
    use std::io::Read as _;
    let s = server().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let ask = async |coding: &str| {
        let request = http::Request::get(path).header("accept-encoding", coding);
        s.admin.send(request.body(kube::client::Body::empty()).unwrap()).await.unwrap()
    };
    let body = async |response: http::Response<kube::client::Body>| {
        http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes()
    };
    assert_eq!(ask("gzip").await.headers().get("content-encoding"), None, "a small list");
    let text = "x".repeat(100_000);
    for name in ["a", "b"] {
        s.make(path, &serde_json::json!({"metadata": {"name": name}, "data": {"k": text}})).await;
    }
    let plain = body(ask("gzip;q=0, identity").await).await;
    let packed = ask("deflate, gzip").await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = body(packed).await;
    assert!(packed.len() < plain.len() / 50, "{} of {}", packed.len(), plain.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
}

#[tokio::test]
async fn metrics_count_requests_and_objects() {
    let s = server().await;
    s.get("/api/v1/namespaces/default/configmaps/none").await;
    let answer = s.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "apiserver_request_total{code=\"404\",component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"resource\",\
         subresource=\"\",verb=\"GET\",version=\"v1\"} 1",
        "apiserver_storage_objects{resource=\"namespaces\"} 4",
    ] {
        assert!(answer.text.lines().any(|l| l == line), "{line}\n{}", answer.text);
    }
    let jane = s.api.client("jane", &["x"]);
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    assert_eq!(crate::server::send(&jane, request).await.code, 403);
}
