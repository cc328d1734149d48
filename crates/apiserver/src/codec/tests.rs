//! Bodies as clients send them, good and bad.

use super::*;
use serde_json::json;

fn decode_json(group: &str, version: &str, kind: &str, body: &Value) -> Result<Decoded, ApiError> {
    decode("application/json", body.to_string().as_bytes(), group, version, kind, FieldValidation::Strict)
}

fn refused(body: &str, validation: FieldValidation) -> String {
    let error = decode("application/json", body.as_bytes(), "", "v1", "Service", validation).unwrap_err();
    assert_eq!(error.code, 400);
    error.message
}

#[test]
fn fills_in_what_the_request_implies_and_drops_what_go_omits() {
    let body = json!({
        "metadata": {"name": "a", "creationTimestamp": null, "labels": {}},
        "spec": {"clusterIP": "", "ports": [{"port": 80, "targetPort": "web", "nodePort": 0}], "selector": {"app": null}},
        "status": {"loadBalancer": {}},
    });
    let decoded = decode_json("", "v1", "Service", &body).unwrap();
    let wanted = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
        "spec": {"ports": [{"port": 80, "targetPort": "web"}], "selector": {"app": ""}},
        "status": {"loadBalancer": {}},
    });
    assert_eq!(decoded.object, wanted);
}

#[test]
fn keeps_zeros_that_mean_something() {
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "replicas": 0, "selector": {}, "template": {"spec": {"automountServiceAccountToken": false, "hostNetwork": false,
        "containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}],
        "volumes": [{"name": "v", "emptyDir": {}}]}}}});
    let object = decode_json("apps", "v1", "Deployment", &body).unwrap().object;
    assert_eq!(object["spec"]["replicas"], 0);
    let pod = &object["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod.get("hostNetwork"), None);
    assert_eq!(pod["containers"][0]["resources"]["limits"], json!({"cpu": "500m", "memory": "1Gi"}));
    assert_eq!(pod["volumes"][0]["emptyDir"], json!({}));
}

#[test]
fn unknown_and_duplicate_fields() {
    let body = r#"{"spec":{"porst":[],"ports":[{"port":80,"prot":1},{"port":81}],"type":"NodePort","type":"ClusterIP"},"x":1}"#;
    let text = concat!(
        "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"x\", ",
        "unknown field \"spec.porst\", unknown field \"spec.ports[0].prot\", duplicate field \"spec.type\"",
    );
    assert_eq!(refused(body, FieldValidation::Strict), text);
    let warn =
        decode("application/json", body.as_bytes(), "", "v1", "Service", FieldValidation::Warn).unwrap();
    assert_eq!(warn.warnings.len(), 4);
    assert_eq!(warn.object["spec"], json!({"ports": [{"port": 80}, {"port": 81}], "type": "ClusterIP"}));
    let ignore =
        decode("application/json", body.as_bytes(), "", "v1", "Service", FieldValidation::Ignore).unwrap();
    assert_eq!((ignore.object, ignore.warnings), (warn.object, Vec::new()));
}

#[test]
fn wrong_types_are_said_as_go_says_them() {
    for (body, wanted) in [
        (
            r#"{"spec":"x"}"#,
            "json: cannot unmarshal string into Go struct field Service.spec of type v1.ServiceSpec",
        ),
        (
            r#"{"spec":{"ports":[{"port":"80"}]}}"#,
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            r#"{"spec":{"ports":[{"port":3000000000}]}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            r#"{"spec":{"ports":{}}}"#,
            "json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            r#"{"spec":{"selector":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ServiceSpec.spec.selector of type string",
        ),
        (
            r#"{"metadata":{"labels":[]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            r#"{"spec":{"ports":[{"port":1,"targetPort":true}]}}"#,
            "json: cannot unmarshal bool into Go value of type int32",
        ),
        (
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
        ),
    ] {
        let wanted = format!("Service in version \"v1\" cannot be handled as a Service: {wanted}");
        assert_eq!(refused(body, FieldValidation::Ignore), wanted);
    }
    let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "lots"}}}]}});
    let error = decode_json("", "v1", "Pod", &pod).unwrap_err();
    assert!(error.message.ends_with(&format!("cannot be handled as a Pod: {}", quantity::ERROR)), "{error}");
    let secret = decode_json("", "v1", "Secret", &json!({"data": {"a": "%"}})).unwrap_err();
    assert!(secret.message.ends_with("illegal base64 data at input byte 0"), "{secret}");
}

#[test]
fn other_kinds_and_broken_bodies() {
    for (body, wanted) in [
        (
            r#"{"kind":"Pod","apiVersion":"v1"}"#,
            r#"Pod in version "v1" cannot be handled as a Service: converting (v1.Pod) to (core.Service): unknown conversion"#,
        ),
        (
            r#"{"kind":"Service","apiVersion":"v2"}"#,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            "{\"kind\":",
            "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"kind\":)",
        ),
        (
            "",
            "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
        ),
        (
            "[]",
            "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct (5b5d)",
        ),
    ] {
        assert_eq!(refused(body, FieldValidation::Strict), wanted);
    }
    assert!(refused(&"[".repeat(100_000), FieldValidation::Strict).contains("recursion limit"));
    assert!(refused("{} {}", FieldValidation::Strict).contains("trailing"));
    let error = decode("text/plain", b"{}", "", "v1", "Service", FieldValidation::Strict).unwrap_err();
    assert_eq!((error.code, error.reason), (415, "UnsupportedMediaType"));
    // Options come in any group.
    let options = json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Orphan"});
    assert_eq!(decode_json("", "v1", "DeleteOptions", &options).unwrap().object, options);
}

#[test]
fn reads_yaml() {
    let body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  8080: \"x\"\n  k: |\n    line\n---\nkind: Other\n";
    let decoded =
        decode("application/yaml; charset=utf-8", body, "", "v1", "ConfigMap", FieldValidation::Strict)
            .unwrap();
    assert_eq!(decoded.object["data"], json!({"8080": "x", "k": "line\n"}));
    let twice = b"metadata: {name: a}\ndata: {a: b, a: c}\n";
    let error =
        decode("application/yaml", twice, "", "v1", "ConfigMap", FieldValidation::Strict).unwrap_err();
    assert!(error.message.ends_with("duplicate field \"data.a\""), "{error}");
    for broken in ["{", "a: [", "- a", "", "!!binary x", "&a [*a]"] {
        decode("application/yaml", broken.as_bytes(), "", "v1", "ConfigMap", FieldValidation::Strict)
            .unwrap_err();
    }
}

#[test]
fn the_result_of_a_patch_is_refused_with_422() {
    let object = json!({"apiVersion": "v1", "kind": "Service", "spec": {"porst": 1}});
    let error = check("", "v1", "Service", &object, FieldValidation::Strict).unwrap_err();
    assert_eq!(error.code, 422);
    assert!(error.message.starts_with(" \"\" is invalid: patch: Invalid value: \"{"), "{error}");
    assert!(error.message.ends_with("strict decoding error: unknown field \"spec.porst\""), "{error}");
    assert_eq!(
        check("", "v1", "Service", &object, FieldValidation::Warn).unwrap(),
        ["unknown field \"spec.porst\""]
    );
}
