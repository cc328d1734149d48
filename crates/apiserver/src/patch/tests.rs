//! Patches in tables.

use super::*;

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn service(content_type: &str, original: &Value, patch: &Value) -> Result<Value, ApiError> {
    apply(content_type, "", "v1", "Service", original, patch.to_string().as_bytes())
}

fn pod(original: &Value, patch: &Value) -> Result<Value, ApiError> {
    apply(STRATEGIC, "", "v1", "Pod", original, patch.to_string().as_bytes())
}

#[test]
fn merge_patch_follows_rfc_7396() {
    let original = json!({"a": "b", "c": {"d": "e", "f": "g"}, "l": [1, {"x": null}]});
    let patch = json!({"a": "z", "c": {"f": null, "n": {"m": null, "k": 1}}, "l": [null]});
    let wanted = json!({"a": "z", "c": {"d": "e", "n": {"k": 1}}, "l": [null]});
    assert_eq!(service(MERGE, &original, &patch).unwrap(), wanted);
    assert_eq!(service(MERGE, &original, &json!([1])).unwrap_err().code, 400);
}

#[test]
fn json_patch_follows_rfc_6902() {
    let original = json!({"a": {"b": [1, 2, 3]}, "x/y": 1, "m~n": 2});
    for (patch, wanted) in [
        (
            json!([{"op": "add", "path": "/a/b/1", "value": 9}]),
            json!({"a": {"b": [1, 9, 2, 3]}, "x/y": 1, "m~n": 2}),
        ),
        (
            json!([{"op": "add", "path": "/a/b/-", "value": 9}]),
            json!({"a": {"b": [1, 2, 3, 9]}, "x/y": 1, "m~n": 2}),
        ),
        (
            json!([{"op": "remove", "path": "/x~1y"}, {"op": "remove", "path": "/m~0n"}]),
            json!({"a": {"b": [1, 2, 3]}}),
        ),
        (
            json!([{"op": "replace", "path": "/a/b", "value": null}]),
            json!({"a": {"b": null}, "x/y": 1, "m~n": 2}),
        ),
        (
            json!([{"op": "move", "from": "/a/b", "path": "/c"}]),
            json!({"a": {}, "c": [1, 2, 3], "x/y": 1, "m~n": 2}),
        ),
        (
            json!([{"op": "copy", "from": "/x~1y", "path": "/c"}]),
            json!({"a": {"b": [1, 2, 3]}, "c": 1, "x/y": 1, "m~n": 2}),
        ),
        (
            json!([{"op": "test", "path": "/a/b/0", "value": 1}, {"op": "test", "path": "/none", "value": null}]),
            original.clone(),
        ),
    ] {
        assert_eq!(service(JSON, &original, &patch).unwrap(), wanted, "{patch}");
    }
    for (patch, why) in [
        (json!([{"op": "test", "path": "/x~1y", "value": 2}]), "testing value /x~1y failed: test failed"),
        (
            json!([{"op": "remove", "path": "/none"}]),
            "remove operation does not apply: Unable to remove nonexistent key: none: missing value",
        ),
        (
            json!([{"op": "replace", "path": "/none", "value": 1}]),
            "replace operation does not apply: doc is missing key: /none: missing value",
        ),
        (
            json!([{"op": "add", "path": "/n/o", "value": 1}]),
            "add operation does not apply: doc is missing path: \"/n/o\": missing value",
        ),
        (
            json!([{"op": "add", "path": "/a/b/7", "value": 1}]),
            "add operation does not apply: doc is missing path: /a/b/7: Unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!([{"op": "move", "from": "/a", "path": "/a/b/0"}]),
            "move operation does not apply: /a/b/0 is inside of /a",
        ),
    ] {
        let error = service(JSON, &original, &patch).unwrap_err();
        assert_eq!((error.code, &error.details["causes"][0]["message"]), (422, &json!(why)));
    }
    let bomb: Vec<Value> =
        (0..60).map(|n| json!({"op": "copy", "from": "", "path": format!("/{n}")})).collect();
    assert_eq!(service(JSON, &original, &json!(bomb)).unwrap_err().code, 422);
    assert_eq!(service(JSON, &original, &json!({})).unwrap_err().code, 400);
    assert_eq!(service(JSON, &original, &json!([{"op": "jump", "path": ""}])).unwrap_err().code, 400);
    assert_eq!(service("application/apply-patch+yaml", &original, &json!({})).unwrap_err().code, 415);
}

#[test]
fn strategic_merge_knows_the_ports_of_a_service_by_port() {
    let original = json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": 30001}, {"port": 53, "protocol": "UDP"}]}});
    let patch = json!({"spec": {"selector": {"v": "1", "a": null}, "ports": [{"port": 80, "targetPort": 8080}, {"port": 443}, {"port": 53, "$patch": "delete"}],
        "$setElementOrder/ports": [{"port": 443}, {"port": 80}]}});
    let wanted = json!({"spec": {"selector": {"v": "1"}, "ports": [{"port": 443}, {"port": 80, "nodePort": 30001, "targetPort": 8080}]}});
    assert_eq!(service(STRATEGIC, &original, &patch).unwrap(), wanted);
    let atomic = json!({"spec": {"externalIPs": ["1.1.1.1"]}});
    let patched = service(STRATEGIC, &json!({"spec": {"externalIPs": ["2.2.2.2"]}}), &atomic).unwrap();
    assert_eq!(patched, atomic);
}

#[test]
fn directives() {
    let original = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}});
    for (patch, pointer, wanted) in [
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            "/metadata/finalizers",
            json!(["b"]),
        ),
        (json!({"metadata": {"finalizers": ["c", "a"]}}), "/metadata/finalizers", json!(["a", "b", "c"])),
        (
            json!({"metadata": {"finalizers": ["c"], "$setElementOrder/finalizers": ["c", "a"]}}),
            "/metadata/finalizers",
            json!(["c", "a", "b"]),
        ),
        (
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}}),
            "/spec/volumes",
            json!([{"name": "v", "configMap": {"name": "m"}}]),
        ),
        (
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
            "/spec/containers",
            json!([{"name": "c"}]),
        ),
        (json!({"spec": {"$patch": "replace", "nodeName": "n"}}), "/spec", json!({"nodeName": "n"})),
        (
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "X", "$patch": "delete"}, {"name": "Y", "value": null}]}]}}),
            "/spec/containers/0",
            json!({"name": "a", "image": "1", "env": [{"name": "Y"}]}),
        ),
        (
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
            "/spec/containers/0",
            json!({"name": "b"}),
        ),
        (json!({"spec": {"affinity": {"$patch": "delete"}}}), "/spec/affinity", Value::Null),
        (
            json!({"spec": {"securityContext": {"runAsUser": 0, "fsGroup": null}}}),
            "/spec/securityContext",
            json!({"runAsUser": 0}),
        ),
    ] {
        let patched = pod(&original, &patch).unwrap();
        assert_eq!(patched.pointer(pointer).unwrap_or(&Value::Null), &wanted, "{patch}");
    }
    for patch in [
        json!({"spec": {"containers": [{"image": "x"}]}}),
        json!({"spec": {"containers": ["x"]}}),
        json!({"spec": {"$patch": "explode"}}),
        json!({"spec": {"$retainKeys": 1}}),
        json!({"spec": {"containers": [{"name": "z"}], "$setElementOrder/containers": [{"name": "a"}]}}),
    ] {
        assert_eq!(pod(&original, &patch).unwrap_err().code, 400, "{patch}");
    }
}

#[test]
fn unknown_elements_keep_their_place() {
    let original = json!({"spec": {"containers": [{"name": "live1"}, {"name": "a"}, {"name": "live2"}, {"name": "b"}, {"name": "live3"}]}});
    let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}], "containers": [{"name": "c"}]}});
    let patched = pod(&original, &patch).unwrap();
    let names: Vec<&str> = patched["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["live1", "live2", "b", "a", "c", "live3"]);
}
