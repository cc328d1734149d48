//! Whatever comes in: no panic, and no directive is ever stored.

use super::apply;
use crate::codec::properties::json;
use proptest::prelude::*;
use serde_json::{Value, json};

proptest! {
    #[test]
    fn patches_never_panic(original in json(), patch in json(), media_type in prop::sample::select(&super::MEDIA_TYPES[..])) {
        let original = json!({"spec": original});
        for kind in ["Pod", "Service"] {
            let patch = json!({"spec": patch}).to_string();
            let _ = apply(media_type, "", "v1", kind, &original, patch.as_bytes());
        }
    }

    #[test]
    fn merge_patch_is_idempotent(original in json(), patch in json()) {
        let patch = json!({"spec": patch}).to_string();
        let once = apply("application/merge-patch+json", "", "v1", "Pod", &original, patch.as_bytes()).unwrap();
        let twice = apply("application/merge-patch+json", "", "v1", "Pod", &once, patch.as_bytes()).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn strategic_merge_stores_no_directive(patch in json()) {
        let patch = json!({"spec": patch, "metadata": {"finalizers": patch, "labels": patch}}).to_string();
        let media_type = "application/strategic-merge-patch+json";
        if let Ok(patched) = apply(media_type, "", "v1", "Pod", &json!({}), patch.as_bytes()) {
            prop_assert!(!has_directive(&patched), "{}", patched);
        }
    }

    #[test]
    fn json_patch_never_panics(
        original in json(),
        path in prop::sample::select(&["", "/", "/spec", "/spec/0", "/spec/-", "/spec/ports/1/port", "/a~1b", "spec", "/~"][..]),
        from in prop::sample::select(&["", "/spec", "/spec/0", "/spec/name", "x"][..]),
        op in prop::sample::select(&["add", "remove", "replace", "move", "copy", "test"][..]),
        value in json(),
    ) {
        let patch = json!([{"op": op, "path": path, "from": from, "value": value}]).to_string();
        let _ = apply("application/json-patch+json", "", "v1", "Pod", &json!({"spec": original}), patch.as_bytes());
    }
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(k, v)| k.starts_with('$') || has_directive(v)),
        Value::Array(list) => list.iter().any(has_directive),
        _ => false,
    }
}
