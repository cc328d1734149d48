//! Server-side apply and the managers of fields, over HTTP.

use crate::server::{Answer, Server, send, server};
use http::Request;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn apply(s: &Server, path: &str, body: &str) -> Answer {
    let request = Request::patch(path).header("content-type", "application/apply-patch+yaml");
    send(&s.admin, request.body(body.as_bytes().to_vec()).unwrap()).await
}

async fn applied(s: &Server, path: &str, body: &Value) -> Value {
    let answer = apply(s, path, &body.to_string()).await;
    assert!(matches!(answer.code, 200 | 201), "{path}: {}", answer.text);
    answer.json
}

fn service(ports: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}})
}

fn deployment(replicas: Option<u8>) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}}}});
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

/// `manager operation subresource` of all managers.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let line =
        |e: &Value| format!("{} {} {}", text(e, "manager"), text(e, "operation"), text(e, "subresource"));
    entries.into_iter().flatten().map(|e| line(e).trim_end().to_owned()).collect()
}

#[tokio::test]
async fn apply_creates_and_updates() {
    let s = server().await;
    let path = format!("{SERVICES}/web?fieldManager=me");
    let yaml = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n";
    let tried = apply(&s, &format!("{path}&dryRun=All"), yaml).await;
    assert_eq!((tried.code, s.get(&format!("{SERVICES}/web")).await.code), (201, 404), "{}", tried.text);
    let made = apply(&s, &path, yaml).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert!(made.json["spec"]["clusterIP"].is_string());
    let entry = &made.json["metadata"]["managedFields"][0];
    assert_eq!(
        (entry["operation"].as_str(), &entry["fieldsV1"]),
        (
            Some("Apply"),
            &json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}})
        )
    );
    // the same again is nothing new
    let again = apply(&s, &path, yaml).await;
    assert_eq!((again.code, &again.json), (200, &made.json));
    // another port beside it by another manager; the first manager's goes when it does not apply it any more
    let you = format!("{SERVICES}/web?fieldManager=you");
    let both =
        applied(&s, &you, &service(&json!([{"port": 443, "name": "tls"}, {"port": 80, "name": "http"}])))
            .await;
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
    let left = applied(&s, &path, &service(&json!([{"port": 80}, {"port": 81, "name": "more"}]))).await;
    assert_eq!(left["spec"]["ports"].as_array().unwrap().len(), 3, "{}", left["spec"]);
    let left = applied(&s, &path, &service(&json!([{"port": 80}]))).await;
    let ports: Vec<_> = left["spec"]["ports"].as_array().unwrap().iter().map(|p| p["port"].clone()).collect();
    assert_eq!(ports, [443, 80]);
    assert_eq!(left["spec"]["clusterIP"], made.json["spec"]["clusterIP"]);
}

#[tokio::test]
async fn conflicts_are_told_and_forced() {
    let s = server().await;
    let path = format!("{DEPLOYMENTS}/web");
    s.make(&format!("{DEPLOYMENTS}?fieldManager=maker"), &deployment(Some(1))).await;
    let refused = apply(&s, &format!("{path}?fieldManager=me"), &deployment(Some(3)).to_string()).await;
    assert_eq!((refused.code, refused.json["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(
        refused.json["message"],
        "Apply failed with 1 conflict: conflict with \"maker\" using apps/v1: .spec.replicas"
    );
    assert_eq!(
        refused.json["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"maker\" using apps/v1",
            "field": ".spec.replicas"}])
    );
    let forced = applied(&s, &format!("{path}?fieldManager=me&force=true"), &deployment(Some(3))).await;
    assert_eq!(forced["spec"]["replicas"], 3);
    assert_eq!(managers(&forced), ["me Apply", "maker Update"]);
    // what is applied by nobody stays if somebody else wrote it, and a default comes back if not
    let without = applied(&s, &format!("{path}?fieldManager=me"), &deployment(None)).await;
    assert_eq!(without["spec"]["replicas"], 1);
    assert_eq!(without["metadata"]["generation"], 3);
}

#[tokio::test]
async fn bad_configurations() {
    let s = server().await;
    let path = format!("{MAPS}/a");
    let good = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    let me = "fieldManager=me";
    for (query, body, code, message) in [
        (
            "",
            good,
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ),
        (me, "{", 400, "error decoding patch: "),
        (
            me,
            "5",
            400,
            "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}",
        ),
        (me, "{}", 400, "invalid object type: /, Kind="),
        (me, "{kind: ConfigMap, metadata: {name: a}}", 400, "invalid object type: /, Kind=ConfigMap"),
        (me, "{apiVersion: apps/v1, kind: Deployment}", 400, "invalid object type: apps/v1, Kind=Deployment"),
        (
            me,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}",
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            me,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}",
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            me,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, managedFields: []}}",
            400,
            "metadata.managedFields must be nil",
        ),
        (
            me,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, datum: {}}",
            400,
            "failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .datum: field not declared in schema",
        ),
        (me, "{apiVersion: v1, kind: ConfigMap, metadata: 5}", 400, "the object provided is unrecognized"),
        (
            me,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: \"5\"}}",
            400,
            "resourceVersion should not be set",
        ),
        (
            "fieldManager=me&fieldValidation=Strict",
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"kind\": \"ConfigMap\"}",
            400,
            "error strict decoding patch: duplicate field \"kind\"",
        ),
    ] {
        let answer = apply(&s, &format!("{path}?{query}"), body).await;
        let text = answer.json["message"].as_str().unwrap();
        assert_eq!(answer.code, code, "{body}: {text}");
        assert!(text.starts_with(message), "{body}: {text}");
    }
    assert_eq!(s.get(&path).await.code, 404);
    // an apply of another form, and force without an apply
    let answer = s.write("PATCH", &path, "application/apply-patch+cbor", &json!({})).await;
    assert_eq!(answer.code, 415);
    let answer = s.merge(&format!("{path}?force=true"), &json!({})).await;
    assert_eq!((answer.code, answer.json["details"]["causes"][0]["field"].as_str()), (422, Some("force")));
    let long = "x".repeat(129);
    assert_eq!(
        s.post(&format!("{MAPS}?fieldManager={long}"), &json!({"metadata": {"name": "b"}})).await.code,
        422
    );
}

#[tokio::test]
async fn nobody_creates_by_apply_who_may_not_create() {
    let s = server().await;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    s.make(&format!("{rbac}/roles"), &json!({"metadata": {"name": "patcher"}, "rules": rules})).await;
    s.make(
        &format!("{rbac}/rolebindings"),
        &json!({"metadata": {"name": "patcher"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patcher"}}),
    )
    .await;
    let jane = Server {
        admin: s.api.client("jane", &["system:authenticated"]),
        api: s.api.clone(),
        store: s.store.clone(),
    };
    let body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    let path = format!("{MAPS}/a?fieldManager=me");
    assert_eq!(apply(&jane, &path, body).await.code, 403);
    assert_eq!(apply(&s, &path, body).await.code, 201);
    assert_eq!(apply(&jane, &path, body).await.code, 200);
}

#[tokio::test]
async fn every_write_has_a_manager() {
    let s = server().await;
    let agent = |method: &str, path: &str, content_type: &str, body: &Value| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("user-agent", "kubectl/v1.32.3 (linux/amd64)")
            .body(body.to_string().into_bytes())
            .unwrap()
    };
    let made = send(
        &s.admin,
        agent("POST", MAPS, "application/json", &json!({"metadata": {"name": "a"}, "data": {"x": "1"}})),
    )
    .await;
    assert_eq!(managers(&made.json), ["kubectl Update"]);
    let path = format!("{MAPS}/a");
    // nothing changes: no new revision, no new manager
    let same = s.merge(&format!("{path}?fieldManager=other"), &json!({"data": {"x": "1"}})).await;
    assert_eq!(same.json, made.json);
    let patched = s.merge(&format!("{path}?fieldManager=other"), &json!({"data": {"y": "2"}})).await.json;
    assert_eq!(managers(&patched), ["kubectl Update", "other Update"]);
    // a PUT that says nothing of managers keeps them, and what it drops is nobody's
    let put = s
        .put(&format!("{path}?fieldManager=third"), &json!({"metadata": {"name": "a"}, "data": {"x": "3"}}))
        .await
        .json;
    assert_eq!(managers(&put), ["kubectl Update", "third Update"], "{put}");
    assert_eq!(put["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data": {}}));
    // they can be replaced and reset
    let mut mine = put.clone();
    mine["metadata"]["managedFields"].as_array_mut().unwrap().remove(0);
    let replaced = s.put(&path, &mine).await.json;
    assert_eq!(managers(&replaced), ["third Update"]);
    assert_ne!(replaced["metadata"]["resourceVersion"], put["metadata"]["resourceVersion"]);
    for reset in [json!([{}]), json!([])] {
        let patch = json!({"metadata": {"managedFields": reset}});
        let answer = s.merge(&path, &patch).await.json;
        assert_eq!(answer["metadata"].get("managedFields"), None, "{patch}");
        applied(
            &s,
            &format!("{path}?fieldManager=me"),
            &json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a"}, "data": {"x": "3"}}),
        )
        .await;
        assert_eq!(managers(&s.get(&path).await.json), ["me Apply", "before-first-apply Update"]);
    }
}

#[tokio::test]
async fn subresources_have_managers_of_their_own() {
    let s = server().await;
    let path = format!("{DEPLOYMENTS}/web");
    applied(&s, &format!("{path}?fieldManager=me"), &deployment(Some(2))).await;
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 9}, "status": {"replicas": 1, "observedGeneration": 1}});
    let object = applied(&s, &format!("{path}/status?fieldManager=controller"), &status).await;
    assert_eq!((&object["spec"]["replicas"], &object["status"]["replicas"]), (&json!(2), &json!(1)));
    assert_eq!(managers(&object), ["controller Apply status", "me Apply"]);
    // a scale takes the field from who applied it
    let scaled =
        s.merge(&format!("{path}/scale?fieldManager=scaler"), &json!({"spec": {"replicas": 4}})).await;
    assert_eq!(scaled.code, 200, "{}", scaled.text);
    let object = s.get(&path).await.json;
    assert_eq!(managers(&object)[2], "scaler Update scale");
    assert_eq!(object["metadata"]["managedFields"][2]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    let refused = apply(&s, &format!("{path}?fieldManager=me"), &deployment(Some(2)).to_string()).await;
    assert_eq!(
        refused.json["message"],
        "Apply failed with 1 conflict: conflict with \"scaler\" with subresource \"scale\" using apps/v1: .spec.replicas"
    );
    let scale = |replicas: i8| {
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"},
        "spec": {"replicas": replicas}})
    };
    let at = format!("{path}/scale?fieldManager=auto");
    assert_eq!(apply(&s, &at, &scale(5).to_string()).await.code, 409);
    let forced = applied(&s, &format!("{at}&force=true"), &scale(5)).await;
    assert_eq!((forced["kind"].as_str(), &forced["spec"]["replicas"]), (Some("Scale"), &json!(5)));
    let object = s.get(&path).await.json;
    assert_eq!(managers(&object), ["auto Apply scale", "controller Apply status", "me Apply"]);
    assert_eq!(apply(&s, &format!("{at}&force=true"), &scale(-1).to_string()).await.code, 422);
    assert_eq!(
        apply(&s, &format!("{DEPLOYMENTS}/none/scale?fieldManager=auto"), &scale(1).to_string()).await.code,
        404
    );
}
