//! POST, PUT, PATCH and what lies below objects.

use crate::server::{send, server};
use http::Request;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn deployment() -> serde_json::Value {
    json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[tokio::test]
async fn names_are_generated() {
    let s = server().await;
    let a = s.make(MAPS, &json!({"metadata": {"generateName": "web-"}})).await;
    let b = s.make(MAPS, &json!({"metadata": {"generateName": "web-"}})).await;
    assert_ne!(a["metadata"]["name"], b["metadata"]["name"]);
    let name = a["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[tokio::test]
async fn a_create_needs_its_namespace() {
    let s = server().await;
    let answer = s.post("/api/v1/namespaces/nowhere/configmaps", &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(
        (answer.code, answer.json["message"].as_str()),
        (404, Some("namespaces \"nowhere\" not found"))
    );
    let answer = s.post(MAPS, &json!({"metadata": {"name": "a", "namespace": "other"}})).await;
    assert_eq!(answer.code, 400);
    let answer = s.post(MAPS, &json!({"metadata": {"name": "a", "resourceVersion": "4"}})).await;
    assert_eq!(answer.code, 400);
}

#[tokio::test]
async fn bad_input_gets_a_status() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let one = format!("{MAPS}/a");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let big = format!("{{\"data\": {{\"a\": \"{}\"}}}}", "x".repeat(3 * 1024 * 1024));
    for (method, path, content_type, body, code) in [
        ("POST", MAPS, "application/json", "{", 400),
        ("POST", MAPS, "application/json", "", 400),
        ("POST", MAPS, "application/json", "[]", 400),
        ("POST", MAPS, "application/json", "{\"metadata\": 5}", 400),
        ("POST", MAPS, "application/json", "{\"metadata\": {\"name\": 5}}", 400),
        ("POST", MAPS, "application/json", "{\"kind\": \"Secret\", \"apiVersion\": \"v1\"}", 400),
        ("POST", MAPS, "application/json", deep.as_str(), 400),
        ("POST", MAPS, "application/json", big.as_str(), 413),
        ("POST", MAPS, "text/plain", "x", 415),
        ("POST", MAPS, "application/vnd.kubernetes.protobuf", "k8s", 400),
        ("PUT", one.as_str(), "application/json", "{\"metadata\": {\"name\": \"b\"}}", 400),
        ("PATCH", one.as_str(), "application/json", "{}", 415),
        ("PATCH", one.as_str(), "application/merge-patch+json", "{", 400),
        (
            "PATCH",
            one.as_str(),
            "application/json-patch+json",
            "[{\"op\": \"test\", \"path\": \"/x\", \"value\": 1}]",
            422,
        ),
        ("PATCH", one.as_str(), "application/merge-patch+json", "{\"metadata\": null}", 400),
        ("PATCH", one.as_str(), "application/merge-patch+json", "{\"metadata\": 7}", 400),
        ("PATCH", one.as_str(), "application/merge-patch+json", "{\"data\": 7}", 422),
        ("DELETE", one.as_str(), "application/json", "{\"gracePeriodSeconds\": \"x\"}", 400),
        ("POST", one.as_str(), "application/json", "{}", 405),
        ("PUT", MAPS, "application/json", "{}", 405),
        ("DELETE", "/api/v1/configmaps", "application/json", "", 405),
        ("GET", "/api/v1/nothings", "application/json", "", 404),
        ("GET", "/apis/none.io/v1/things", "application/json", "", 404),
        ("GET", "/apis/apps/v9/deployments", "application/json", "", 404),
        ("GET", "/nothing", "application/json", "", 404),
        ("GET", "/api/v1/namespaces/default/configmaps/a/scale", "application/json", "", 404),
        ("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", "application/json", "{}", 422),
        ("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Some", "application/json", "{}", 422),
        ("GET", "/api/v1/configmaps?limit=x", "application/json", "", 400),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let answer = send(&s.admin, request.body(body.as_bytes().to_vec()).unwrap()).await;
        let what = format!("{method} {path} {}: {}", &body[..body.len().min(60)], answer.text);
        assert_eq!(answer.code, code, "{what}");
        assert_eq!(
            (answer.json["kind"].as_str(), answer.json["code"].as_u64()),
            (Some("Status"), Some(u64::from(code))),
            "{what}"
        );
    }
}

#[tokio::test]
async fn unknown_fields() {
    let s = server().await;
    let path = "/api/v1/namespaces/default/services";
    let body =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "porst": 1}});
    let strict = s.post(&format!("{path}?fieldValidation=Strict"), &body("a")).await;
    assert_eq!(strict.code, 400);
    assert!(
        strict.text.contains("strict decoding error: unknown field \\\"spec.porst\\\""),
        "{}",
        strict.text
    );
    let warned = s.post(path, &body("b")).await;
    assert_eq!(warned.code, 201);
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"spec.porst\\\"\"");
    assert!(
        s.post(&format!("{path}?fieldValidation=Ignore"), &body("c")).await.headers.get("warning").is_none()
    );
}

#[tokio::test]
async fn rehearsals_write_nothing() {
    let s = server().await;
    let made = s.post(&format!("{MAPS}?dryRun=All"), &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(made.code, 201);
    assert_eq!(s.get(&format!("{MAPS}/a")).await.code, 404);
    s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let patched = s.merge(&format!("{MAPS}/a?dryRun=All"), &json!({"data": {"k": "v"}})).await;
    assert_eq!(patched.json["data"]["k"], "v");
    assert!(s.get(&format!("{MAPS}/a")).await.json["data"].is_null());
}

#[tokio::test]
async fn an_update_without_a_revision_is_unconditional() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    for value in ["1", "2"] {
        let put =
            s.put(&format!("{MAPS}/a"), &json!({"metadata": {"name": "a"}, "data": {"k": value}})).await;
        assert_eq!((put.code, put.json["data"]["k"].as_str()), (200, Some(value)));
    }
    let stale = s
        .merge(&format!("{MAPS}/a"), &json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "3"}}))
        .await;
    assert_eq!(stale.code, 409);
    assert_eq!(
        stale.json["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    let other = s.merge(&format!("{MAPS}/a"), &json!({"metadata": {"uid": "x"}})).await;
    assert_eq!(other.code, 409);
}

#[tokio::test]
async fn concurrent_patches_all_count() {
    let s = server().await;
    s.make(MAPS, &json!({"metadata": {"name": "a"}})).await;
    let patches = (0..20).map(|i| {
        let s = &s;
        async move { s.merge(&format!("{MAPS}/a"), &json!({"data": {format!("k{i}"): "v"}})).await.code }
    });
    assert!(futures::future::join_all(patches).await.iter().all(|code| *code == 200));
    assert_eq!(s.get(&format!("{MAPS}/a")).await.json["data"].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let s = server().await;
    let made = s.make(DEPLOYMENTS, &deployment()).await;
    assert_eq!(made["metadata"]["generation"], 1);
    let one = format!("{DEPLOYMENTS}/web");
    let status = s
        .merge(&format!("{one}/status"), &json!({"spec": {"replicas": 9}, "status": {"replicas": 2}}))
        .await
        .json;
    assert_eq!((&status["spec"]["replicas"], &status["status"]["replicas"]), (&json!(2), &json!(2)));
    assert_eq!(status["metadata"]["generation"], 1);
    let main = s.merge(&one, &json!({"spec": {"replicas": 3}, "status": {"replicas": 7}})).await.json;
    assert_eq!((&main["spec"]["replicas"], &main["status"]["replicas"]), (&json!(3), &json!(2)));
    assert_eq!(main["metadata"]["generation"], 2);
}

#[tokio::test]
async fn scale() {
    let s = server().await;
    s.make(DEPLOYMENTS, &deployment()).await;
    let path = format!("{DEPLOYMENTS}/web/scale");
    let scale = s.get(&path).await.json;
    assert_eq!(
        (scale["kind"].as_str(), scale["status"]["selector"].as_str()),
        (Some("Scale"), Some("app=web"))
    );
    let patched = s.merge(&path, &json!({"spec": {"replicas": 5}})).await;
    assert_eq!((patched.code, &patched.json["spec"]["replicas"]), (200, &json!(5)), "{}", patched.text);
    let object = s.get(&format!("{DEPLOYMENTS}/web")).await.json;
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(5), &json!(2)));
    let put = s.put(&path, &scale).await;
    assert_eq!(put.code, 409, "the Scale was read before the patch");
    assert_eq!(s.merge(&path, &json!({"spec": {"replicas": -1}})).await.code, 422);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let s = server().await;
    s.make(PODS, &json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .await;
    let binding = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let bound = s.post(&format!("{PODS}/p/binding"), &binding("node-1")).await;
    assert_eq!((bound.code, bound.json["status"].as_str()), (201, Some("Success")), "{}", bound.text);
    let pod = s.get(&format!("{PODS}/p")).await.json;
    assert_eq!(pod["spec"]["nodeName"], "node-1");
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(s.post(&format!("{PODS}/p/binding"), &binding("node-2")).await.code, 409);
    let list = s.get(&format!("{PODS}?fieldSelector=spec.nodeName%3Dnode-1")).await.json;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // a container on a node that is not connected
    let log = s.get(&format!("{PODS}/p/log")).await;
    assert_eq!(log.code, 502, "{}", log.text);
    let evicted = s
        .post(
            &format!("{PODS}/p/eviction"),
            &json!({"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 0}}),
        )
        .await;
    assert_eq!(evicted.code, 201, "{}", evicted.text);
    assert_eq!(s.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn put_creates_what_kubernetes_lets_it() {
    let s = server().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    let tried = s.put(&format!("{leases}/l?dryRun=All"), &lease).await;
    assert_eq!((tried.code, s.get(&format!("{leases}/l")).await.code), (201, 404), "{}", tried.text);
    assert_eq!(s.put(&format!("{leases}/l"), &lease).await.code, 201);
    assert_eq!(s.put(&format!("{leases}/l"), &lease).await.code, 200);
    assert_eq!(s.put(&format!("{leases}/m"), &lease).await.code, 400, "another name");
    assert_eq!(s.put(&format!("{MAPS}/l"), &json!({"metadata": {"name": "l"}})).await.code, 404);
    assert_eq!(s.put("/api/v1/nodes/l/status", &json!({"metadata": {"name": "l"}})).await.code, 404);
}

#[tokio::test]
async fn a_restart_brings_the_policy_up_to_date() {
    let s = server().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let mine = json!([{"apiGroups": ["x.io"], "resources": ["y"], "verbs": ["get"]}]);
    let role = |name: &str| format!("{roles}/{name}");
    s.merge(&role("system:basic-user"), &json!({"rules": mine})).await;
    let keep = json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}, "rules": mine});
    s.merge(&role("system:discovery"), &keep).await;
    let before = s.get(&role("view")).await.json;
    s.api.bootstrap().await.unwrap();
    let rules = s.get(&role("system:basic-user")).await.json["rules"].clone();
    assert_eq!((&rules[0], rules.as_array().unwrap().len()), (&mine[0], 3));
    assert_eq!(s.get(&role("system:discovery")).await.json["rules"], mine);
    assert_eq!(s.get(&role("view")).await.json, before, "what is right is not written");
}

#[tokio::test]
async fn a_node_touches_what_is_its_own() {
    let s = server().await;
    let pod = |name: &str, node: &str, secret: &str| {
        json!({"metadata": {"name": name}, "spec": {"nodeName": node,
        "containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": secret}}]}]}})
    };
    for (name, node) in [("one", "n1"), ("two", "n2")] {
        s.make("/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": name}})).await;
        s.make(PODS, &pod(name, node, name)).await;
    }
    let node = s.api.client("system:node:n1", &["system:nodes"]);
    let node = crate::server::Server { admin: node, api: s.api.clone(), store: s.store.clone() };
    assert_eq!(node.get("/api/v1/namespaces/default/secrets/one").await.code, 200);
    let denied = node.get("/api/v1/namespaces/default/secrets/two").await;
    assert_eq!(
        denied.json["message"],
        "secrets \"two\" is forbidden: User \"system:node:n1\" cannot get resource \"secrets\" in API group \"\" in the \
         namespace \"default\": no relationship found between node 'n1' and this object"
    );
    assert_eq!(node.get("/api/v1/secrets").await.code, 403);
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(node.merge(&format!("{PODS}/one/status"), &status).await.code, 200);
    assert_eq!(node.merge(&format!("{PODS}/two/status"), &status).await.code, 403);
    assert_eq!(node.post("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.code, 201);
    let other = node.post("/api/v1/nodes", &json!({"metadata": {"name": "n2"}})).await;
    assert_eq!(
        other.json["message"],
        "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\""
    );
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    assert_eq!(node.post(leases, &json!({"metadata": {"name": "n2"}})).await.code, 403);
    assert_eq!(node.put(&format!("{leases}/n1"), &json!({"metadata": {"name": "n1"}})).await.code, 201);
}

#[tokio::test]
async fn the_address_of_a_service_goes_with_it() {
    let s = server().await;
    let addresses = "/apis/networking.k8s.io/v1/ipaddresses";
    let service = s
        .make(
            "/api/v1/namespaces/default/services",
            &json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}),
        )
        .await;
    let ip = service["spec"]["clusterIP"].as_str().unwrap();
    let refused = s.delete(&format!("{addresses}/{ip}"), &json!({})).await;
    assert_eq!(
        (refused.code, refused.json["message"].as_str().unwrap()),
        (
            403,
            &*format!(
                "ipaddresses.networking.k8s.io \"{ip}\" is forbidden: it is the address of Service \"default/web\""
            )
        )
    );
    s.delete("/api/v1/namespaces/default/services/web", &json!({})).await;
    assert_eq!(s.get(&format!("{addresses}/{ip}")).await.code, 404);
}
