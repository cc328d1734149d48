//! Whatever comes in: no panic, and canonical form is canonical.

use super::protobuf::tests::{DEPLOYMENT, NODE_PORT_SERVICE, unhex};
use super::{FieldValidation, conform, decode};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Names that lead somewhere in the schema, so that random objects reach far into it.
const NAMES: &[&str] = &[
    "metadata",
    "name",
    "labels",
    "creationTimestamp",
    "finalizers",
    "ownerReferences",
    "spec",
    "ports",
    "port",
    "targetPort",
    "protocol",
    "selector",
    "type",
    "template",
    "containers",
    "env",
    "resources",
    "limits",
    "volumes",
    "emptyDir",
    "status",
    "loadBalancer",
    "ingress",
    "livenessProbe",
    "httpGet",
    "tolerations",
    "$patch",
    "$retainKeys",
    "$setElementOrder/ports",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "other",
    "managedFields",
    "fieldsV1",
];

/// Random JSON with names of the schema.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:.TZ-]{0,12}".prop_map(Value::from),
        prop::sample::select(
            &["", "replace", "delete", "merge", "1Gi", "100m", "2026-01-01T00:00:00.5Z", "AA=="][..]
        )
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(NAMES), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

const KINDS: &[(&str, &str)] =
    &[("", "Service"), ("", "Pod"), ("apps", "Deployment"), ("", "Secret"), ("", "Event"), ("none", "Such")];

proptest! {
    #[test]
    fn canonical_form_is_stable(object in json(), kind in prop::sample::select(KINDS)) {
        let mut once = object;
        if conform(kind.0, "v1", kind.1, &mut once, FieldValidation::Ignore).is_ok() {
            let mut twice = once.clone();
            let warnings = conform(kind.0, "v1", kind.1, &mut twice, FieldValidation::Strict).unwrap();
            prop_assert_eq!((once, Vec::<String>::new()), (twice, warnings));
        }
    }

    #[test]
    fn decoding_never_panics(
        body in prop::collection::vec(any::<u8>(), 0..200),
        media_type in prop::sample::select(&["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"][..]),
        magic in any::<bool>(),
    ) {
        let body = if magic { [b"k8s\0".to_vec(), body].concat() } else { body };
        let _ = decode(media_type, &body, "", "v1", "Pod", FieldValidation::Warn);
    }

    #[test]
    fn yaml_like_text_never_panics(text in "[a-c\\[\\]{}:,&*!\"' \\n-]{0,60}") {
        let _ = decode("application/yaml", text.as_bytes(), "", "v1", "Pod", FieldValidation::Warn);
    }

    #[test]
    fn mutated_protobuf_never_panics(
        deployment in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = unhex(if deployment { DEPLOYMENT } else { NODE_PORT_SERVICE });
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let (group, kind) = if deployment { ("apps", "Deployment") } else { ("", "Service") };
        for body in [&body[..], &body[..cut.index(body.len())]] {
            if let Ok(decoded) = decode("application/vnd.kubernetes.protobuf", body, group, "v1", kind, FieldValidation::Strict) {
                // What protobuf can say, JSON can say too.
                let text = decoded.object.to_string();
                let again = decode("application/json", text.as_bytes(), group, "v1", kind, FieldValidation::Strict).unwrap();
                prop_assert_eq!(decoded.object, again.object);
            }
        }
    }
}
