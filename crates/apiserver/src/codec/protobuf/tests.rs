//! Bodies captured from kubectl 1.32, and some made by hand for what kubectl does not send.

use crate::codec::{FieldValidation, decode};
use serde_json::{Value, json};

const CONFIG_MAP: &str = "6b3873000a0f0a0276311209436f6e6669674d6170121d0a130a03636d3112001a0022002a0032003800420012060a016112\
    01621a002200";
const CONFIG_MAP_BINARY: &str = "6b3873000a0f0a0276311209436f6e6669674d617012210a130a03636d3212001a0022002a003200380042001a0a0a036269\
    6e12030001ff1a002200";
const SECRET: &str = "6b3873000a0c0a027631120653656372657412250a120a02733112001a0022002a00320038004200120d0a02707712076875\
    6e746572321a001a002200";
pub(in crate::codec) const DEPLOYMENT: &str = "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412c7010a1f0a0377656212001a0022002a003200380042\
    005a0a0a0361707012037765621295010803120c0a0a0a0361707012037765621a7b0a1c0a0012001a0022002a0032003800\
    42005a0a0a036170701203776562125b123d0a0568656c6c6f12136c6f63616c686f73742f68656c6c6f3a342e312a00320b\
    0a00100018903f22002a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01\
    009a0100c2010022020a00280038001a0c0800100018002000280038001a002200";
pub(in crate::codec) const NODE_PORT_SERVICE: &str = "6b3873000a0d0a02763112075365727669636512670a1d0a026e7012001a0022002a003200380042005a090a036170701202\
    6e7012420a1d0a0738302d38303830120354435018502207080010903f1a0028b7ea0112090a0361707012026e701a002208\
    4e6f6465506f72743a00420052005a00600068001a020a001a002200";
const ACCESS_REVIEW: &str = "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374416363657373\
    52657669657712410a100a0012001a0022002a0032003800420012230a210a0764656661756c7412036765741a0022002a09\
    656e64706f696e747332003a001a08080012001a0020001a002200";
const TOKEN_REQUEST: &str = "6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374121d0a10\
    0a0012001a0022002a00320038004200120320d8041a040a0012001a002200";
const ROLE_BINDING: &str = "6b3873000a2b0a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631120b526f6c6542696e64696e6712\
    600a120a02726212001a0022002a0032003800420012240a0e536572766963654163636f756e7412001a0764656661756c74\
    220764656661756c741a240a19726261632e617574686f72697a6174696f6e2e6b38732e696f1204526f6c651a01721a0022\
    00";

/// The bytes of hexadecimal text.
pub(in crate::codec) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().map(|b| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn decoded(body: &[u8], group: &str, version: &str, kind: &str) -> Value {
    let media_type = "application/vnd.kubernetes.protobuf";
    decode(media_type, body, group, version, kind, FieldValidation::Strict).unwrap().object
}

#[test]
fn bodies_of_kubectl() {
    for (hex, (group, kind), wanted) in [
        (CONFIG_MAP, ("", "ConfigMap"), json!({"metadata": {"name": "cm1"}, "data": {"a": "b"}})),
        (
            CONFIG_MAP_BINARY,
            ("", "ConfigMap"),
            json!({"metadata": {"name": "cm2"}, "binaryData": {"bin": "AAH/"}}),
        ),
        (SECRET, ("", "Secret"), json!({"metadata": {"name": "s1"}, "data": {"pw": "aHVudGVyMg=="}})),
        (
            DEPLOYMENT,
            ("apps", "Deployment"),
            json!({"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "strategy": {}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "hello", "image": "localhost/hello:4.1", "ports": [{"containerPort": 8080}]}]}}}, "status": {}}),
        ),
        (
            NODE_PORT_SERVICE,
            ("", "Service"),
            json!({"metadata": {"name": "np", "labels": {"app": "np"}}, "spec": {"type": "NodePort", "selector": {"app": "np"}, "ports": [
                {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30007}]}, "status": {}}),
        ),
        (
            ACCESS_REVIEW,
            ("authorization.k8s.io", "SelfSubjectAccessReview"),
            json!({"metadata": {}, "spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "endpoints"}}, "status": {"allowed": false}}),
        ),
        (
            TOKEN_REQUEST,
            ("authentication.k8s.io", "TokenRequest"),
            json!({"metadata": {}, "spec": {"expirationSeconds": 600}, "status": {"token": ""}}),
        ),
        (
            ROLE_BINDING,
            ("rbac.authorization.k8s.io", "RoleBinding"),
            json!({"metadata": {"name": "rb"}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}}),
        ),
    ] {
        let mut object = decoded(&unhex(hex), group, "v1", kind);
        let map = object.as_object_mut().unwrap();
        assert_eq!(map.remove("kind"), Some(json!(kind)));
        assert!(map.remove("apiVersion").unwrap().as_str().unwrap().ends_with("v1"));
        for empty in ["metadata", "status"] {
            // Whether an empty struct is sent depends on the client's version.
            if wanted.get(empty).is_none() && map.get(empty) == Some(&json!({})) {
                map.remove(empty);
            }
        }
        assert_eq!(object, wanted, "{kind}");
    }
}

/// One field of wire type 2.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    assert!(content.len() < 128 && number < 16);
    out.extend_from_slice(content);
    out
}

/// One field of wire type 0.
fn varint(number: u8, mut value: u64) -> Vec<u8> {
    let mut out = vec![number << 3];
    while value > 127 {
        out.push(u8::try_from(value & 127).unwrap() | 128);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

fn envelope(api_version: &str, kind: &str, raw: impl AsRef<[u8]>) -> Vec<u8> {
    let meta = [field(1, api_version), field(2, kind)].concat();
    [b"k8s\0".to_vec(), field(1, meta), field(2, raw)].concat()
}

#[test]
fn delete_options_of_any_group() {
    let raw = [varint(1, 0), varint(3, 1), field(4, "Foreground")].concat();
    let object = decoded(&envelope("apps/v1", "DeleteOptions", raw), "", "v1", "DeleteOptions");
    assert_eq!(
        object,
        json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "orphanDependents": true, "propagationPolicy": "Foreground"})
    );
}

#[test]
fn embedded_structs_quantities_times_and_lists_of_numbers() {
    let probe =
        [field(1, field(2, field(2, [varint(1, 1), field(3, "web")].concat()))), varint(3, 5)].concat();
    let limits = field(1, [field(1, "cpu"), field(2, field(1, "1500m"))].concat());
    let container = [field(1, "c"), field(8, limits), field(10, probe)].concat();
    let volume = [field(1, "v"), field(2, field(2, ""))].concat();
    let spec = [field(1, volume), field(2, container), varint(4, 0)].concat();
    let time = field(8, varint(1, 1_700_000_000));
    let pod = [field(1, [field(1, "p"), time].concat()), field(2, spec)].concat();
    assert_eq!(
        decoded(&envelope("v1", "Pod", pod), "", "v1", "Pod"),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "creationTimestamp": "2023-11-14T22:13:20Z"}, "spec": {
            "terminationGracePeriodSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}, "livenessProbe": {"httpGet": {"port": "web"}, "timeoutSeconds": 5}}]}})
    );
    let group = |n| varint(4, n);
    let context = field(14, [group(7), group(9), field(4, [11, 13])].concat());
    let pod = decoded(&envelope("v1", "Pod", field(2, context)), "", "v1", "Pod");
    assert_eq!(pod["spec"]["securityContext"]["supplementalGroups"], json!([7, 9, 11, 13]));
    let extra = field(5, [field(1, "scopes"), field(2, [field(1, "a"), field(1, "b")].concat())].concat());
    let review = decoded(
        &envelope("authorization.k8s.io/v1", "SubjectAccessReview", field(2, extra)),
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview",
    );
    assert_eq!(review["spec"]["extra"], json!({"scopes": ["a", "b"]}));
    let lease = field(2, field(3, [varint(1, 1_700_000_000), varint(2, 123_456_000)].concat()));
    let renewed = [lease.clone(), field(2, field(4, varint(1, 1_700_000_000)))].concat();
    let lease =
        decoded(&envelope("coordination.k8s.io/v1", "Lease", renewed), "coordination.k8s.io", "v1", "Lease");
    assert_eq!(lease["spec"]["renewTime"], "2023-11-14T22:13:20.000000Z");
}

#[test]
fn other_kinds_and_broken_bytes_are_refused() {
    let refused = |body: &[u8]| {
        let media_type = "application/vnd.kubernetes.protobuf";
        let error = decode(media_type, body, "", "v1", "Service", FieldValidation::Strict).unwrap_err();
        assert_eq!(error.code, 400);
        error.message
    };
    assert!(
        refused(&unhex(CONFIG_MAP))
            .ends_with("converting (v1.ConfigMap) to (core.Service): unknown conversion")
    );
    assert!(refused(b"{}").contains("does not appear to be a protobuf message"));
    assert!(refused(b"").ends_with("(<empty>)"));
    let whole = unhex(NODE_PORT_SERVICE);
    assert!(refused(&whole[..whole.len() - 20]).contains("unexpected EOF"));
    assert!(refused(&envelope("v1", "Service", [0x0b])).contains("illegal wireType"));
    assert!(refused(&envelope("v1", "Service", field(1, field(1, [0xff])))).contains("invalid UTF-8"));
}
