//! JSON, merge and strategic-merge patches: any object and any patch give an object or an error, and the schema's check of the
//! result does not panic either. Input: kind, patch type, the object, a zero byte, the patch.
#![no_main]

mod kinds;

use libfuzzer_sys::fuzz_target;
use sealane_apiserver::codec::{FieldValidation, conform};
use sealane_apiserver::patch::{MEDIA_TYPES, apply};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some(((group, version, kind), rest)) = kinds::choose(data) else { return };
    let Some((media_type, rest)) = rest.split_first() else { return };
    let media_type = MEDIA_TYPES[usize::from(*media_type) % MEDIA_TYPES.len()];
    let Some(end) = rest.iter().position(|b| *b == 0) else { return };
    let (object, patch) = (&rest[..end], &rest[end + 1..]);
    let Ok(object) = serde_json::from_slice::<Value>(object) else { return };
    if !object.is_object() {
        return;
    }
    let Ok(mut patched) = apply(media_type, group, version, kind, &object, patch) else { return };
    let _ = conform(group, version, kind, &mut patched, FieldValidation::Strict);
});
