//! The same questions to every kind that is served: created, refused when it is there, refused when its name is bad, seen
//! by a watch, gone when deleted.

use crate::server::{Server, server};
use sealane_apiserver::kinds::{KINDS, Kind, NameRule};
use serde_json::{Value, json};

/// A valid object of a kind, without name.
fn sample(kind: &Kind) -> Value {
    let labels = json!({"app": "x"});
    let template =
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let workload = json!({"selector": {"matchLabels": labels}, "template": template});
    let subject = json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]);
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "view"});
    match (kind.group, kind.kind) {
        ("", "Pod") => json!({"spec": template["spec"]}),
        ("", "Service") => json!({"spec": {"ports": [{"port": 80}], "selector": labels}}),
        ("", "Event") => {
            json!({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R",
            "type": "Normal", "source": {"component": "c"}})
        }
        ("events.k8s.io", _) => {
            json!({"regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R",
            "type": "Normal", "action": "A", "eventTime": "2026-11-23T12:00:00.000000Z", "reportingController": "c.io/c",
            "reportingInstance": "c-1"})
        }
        ("apps", _) => json!({"spec": workload}),
        (_, "EndpointSlice") => json!({"addressType": "IPv4", "endpoints": [], "ports": []}),
        (_, "IPAddress") => {
            json!({"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}}})
        }
        (_, "ServiceCIDR") => json!({"spec": {"cidrs": ["10.97.0.0/16"]}}),
        (_, "ClusterRoleBinding") => json!({"subjects": subject, "roleRef": role("ClusterRole")}),
        (_, "RoleBinding") => json!({"subjects": subject, "roleRef": role("Role")}),
        ("", "ConfigMap" | "Endpoints" | "Namespace" | "Node" | "Secret" | "ServiceAccount")
        | ("coordination.k8s.io", "Lease")
        | ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => json!({}),
        (group, kind) => {
            panic!("{kind} of {group:?} is served, but nobody asks it anything: give it a sample")
        }
    }
}

fn path(kind: &Kind, version: &str) -> String {
    let root = if kind.group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{}/{version}", kind.group)
    };
    let namespace = if kind.namespaced { "/namespaces/default" } else { "" };
    format!("{root}{namespace}/{}", kind.plural)
}

fn named(kind: &Kind, name: &str) -> Value {
    let mut object = sample(kind);
    object["metadata"] = json!({"name": name});
    object
}

async fn ask(s: &Server, kind: &Kind, version: &str) {
    let path = path(kind, version);
    let what = format!("{} {version} {}", kind.group, kind.kind);
    let name = if kind.names == NameRule::Address { "10.96.9.9" } else { "sample" };
    let revision = s.get(&path).await.json["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut events = s.watch(&format!("{path}?watch=true&resourceVersion={revision}")).await;
    // created
    let object = s.make(&path, &named(kind, name)).await;
    assert_eq!(object["kind"], kind.kind, "{what}");
    assert_eq!(object["apiVersion"], kind.api_version(version), "{what}");
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(object["metadata"][field].is_string(), "{what}: {field}");
    }
    assert_eq!(s.get(&format!("{path}/{name}")).await.json, object, "{what}: read as written");
    // there already
    let conflict = s.post(&path, &named(kind, name)).await;
    assert_eq!((conflict.code, conflict.json["reason"].as_str()), (409, Some("AlreadyExists")), "{what}");
    // a bad name, and none
    let bad = if kind.names == NameRule::PathSegment { "a%b" } else { "No_Name" };
    let invalid = s.post(&path, &named(kind, bad)).await;
    assert_eq!(
        (invalid.code, invalid.json["reason"].as_str()),
        (422, Some("Invalid")),
        "{what}: {}",
        invalid.text
    );
    assert_eq!(s.post(&path, &sample(kind)).await.code, 422, "{what} without a name");
    // watched
    let event = events.next().await.unwrap();
    assert_eq!((event["type"].as_str(), &event["object"]), (Some("ADDED"), &object), "{what}");
    // put back as it was, nothing changes; with an old resourceVersion it is refused
    let same = s.put(&format!("{path}/{name}"), &object).await;
    assert_eq!((same.code, &same.json["metadata"]), (200, &object["metadata"]), "{what}: {}", same.text);
    let mut stale = object.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    let stale = s.put(&format!("{path}/{name}"), &stale).await;
    assert_eq!((stale.code, stale.json["reason"].as_str()), (409, Some("Conflict")), "{what}");
    // labelled and seen
    let labelled = s.merge(&format!("{path}/{name}"), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled.code, 200, "{what}: {}", labelled.text);
    assert_eq!(events.next_name().await, format!("MODIFIED {name}"), "{what}");
    // gone
    let deleted = s.delete(&format!("{path}/{name}?gracePeriodSeconds=0"), &json!({})).await;
    assert_eq!(deleted.code, 200, "{what}: {}", deleted.text);
}

/// All that is served and stored; a kind without a sample fails.
#[tokio::test]
async fn every_kind_answers() {
    for kind in KINDS.iter().filter(|k| k.stored) {
        for version in kind.versions {
            ask(&server().await, kind, version).await;
        }
    }
}

#[tokio::test]
async fn one_object_in_two_versions() {
    let s = server().await;
    let beta = s.get("/apis/networking.k8s.io/v1beta1/servicecidrs/kubernetes").await.json;
    assert_eq!(beta["apiVersion"], "networking.k8s.io/v1beta1");
    let list = s.get("/apis/networking.k8s.io/v1beta1/servicecidrs").await.json;
    assert_eq!(list["items"][0], beta);
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    s.make("/api/v1/namespaces/default/events", &json!({"metadata": {"name": "e"}, "message": "m", "reason": "R", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "source": {"component": "c"}})).await;
    let event = s.get(&format!("{events}?fieldSelector=regarding.name%3Dp")).await.json["items"][0].clone();
    assert_eq!((event["note"].as_str(), event["regarding"]["name"].as_str()), (Some("m"), Some("p")));
    assert_eq!(event["apiVersion"], "events.k8s.io/v1");
}

#[tokio::test]
async fn reviews_are_answered_and_forgotten() {
    let s = server().await;
    let review = s.make("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await;
    assert_eq!(review["status"]["userInfo"]["username"], "admin");
    let access = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let review = s.make("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &access).await;
    assert_eq!(review["status"]["allowed"], true);
    assert_eq!(s.get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").await.code, 405);
}
