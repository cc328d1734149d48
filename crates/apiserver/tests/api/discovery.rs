//! Discovery, health, versions, and who may ask.

use crate::server::{send, server};
use http::Request;
use serde_json::json;

#[tokio::test]
async fn both_forms_name_the_same_kinds() {
    let s = server().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let core = s.get_as("/api", accept).await;
    assert_eq!(
        core.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let named = s.get_as("/apis", accept).await.json;
    let mut items = core.json["items"].as_array().unwrap().clone();
    items.extend(named["items"].as_array().unwrap().iter().cloned());
    for group in items {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().unwrap() {
            let v = version["version"].as_str().unwrap();
            let path = if name.is_empty() { format!("/api/{v}") } else { format!("/apis/{name}/{v}") };
            let old = s.get(&path).await.json;
            let mut plain: Vec<String> = Vec::new();
            for resource in version["resources"].as_array().unwrap() {
                let plural = resource["resource"].as_str().unwrap();
                plain.push(plural.to_owned());
                let below = resource["subresources"].as_array().cloned().unwrap_or_default();
                plain
                    .extend(below.iter().map(|b| format!("{plural}/{}", b["subresource"].as_str().unwrap())));
            }
            let listed: Vec<&str> =
                old["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
            assert_eq!(listed, plain, "{path}");
        }
    }
    assert_eq!(s.get("/api").await.json["versions"], json!(["v1"]));
    let groups = s.get("/apis").await.json;
    assert!(groups["groups"].as_array().unwrap().iter().any(|g| g["name"] == "apps"));
    let networking = s.get("/apis/networking.k8s.io").await.json;
    assert_eq!(networking["preferredVersion"]["version"], "v1");
    assert_eq!(networking["versions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn other_paths() {
    let s = server().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping", "/livez?verbose"] {
        assert_eq!(s.get(path).await.code, 200, "{path}");
    }
    let version = s.get("/version").await.json;
    assert_eq!((version["major"].as_str(), version["minor"].as_str()), (Some("1"), Some("33")));
    let v2 = s.get_as("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf").await;
    // with a dot where the request has an @: clients parse it as a media type
    assert_eq!(v2.headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert_eq!(v2.text, "\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.33.0B\0");
    assert_eq!(s.get("/openapi/v2").await.code, 404);
    let index = s.get("/openapi/v3").await.json;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = s.get(&url).await;
    assert!(document.json["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    let etag = document.headers["etag"].clone();
    assert!(document.headers["cache-control"].to_str().unwrap().contains("public"));
    let again = Request::get(&url).header("if-none-match", etag).body(Vec::new()).unwrap();
    assert_eq!(send(&s.admin, again).await.code, 304);
}

#[tokio::test]
async fn what_a_user_may_do() {
    let s = server().await;
    let nobody = s.api.client("nobody", &[]);
    let get = |path: &str| Request::get(path).body(Vec::new()).unwrap();
    assert_eq!(send(&nobody, get("/api")).await.code, 200, "everybody discovers");
    let refused = send(&nobody, get("/api/v1/namespaces/default/pods")).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.json["message"],
        "pods is forbidden: User \"nobody\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let binding = json!({"metadata": {"name": "view"}, "subjects": [{"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}});
    s.make("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", &binding).await;
    assert_eq!(send(&nobody, get("/api/v1/namespaces/default/pods")).await.code, 200);
    assert_eq!(send(&nobody, get("/api/v1/namespaces/default/secrets")).await.code, 403);
    // impersonation: who may, and as whom
    let as_jane =
        |path: &str| Request::get(path).header("impersonate-user", "jane").body(Vec::new()).unwrap();
    assert_eq!(send(&nobody, as_jane("/api")).await.code, 403);
    assert_eq!(send(&s.admin, as_jane("/api/v1/namespaces/default/pods")).await.code, 403);
}
