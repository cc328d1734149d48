//! JSON and YAML bodies: any bytes give an object or an error; decoding what was decoded changes nothing.
#![no_main]

mod kinds;

use libfuzzer_sys::fuzz_target;
use sealane_apiserver::codec::{FieldValidation, decode};

fuzz_target!(|data: &[u8]| {
    let Some(((group, version, kind), body)) = kinds::choose(data) else { return };
    let yaml = data[0] & 0x80 != 0;
    let content_type = if yaml { "application/yaml" } else { "application/json" };
    let Ok(decoded) = decode(content_type, body, group, version, kind, FieldValidation::Warn) else { return };
    let text = serde_json::to_vec(&decoded.object).expect("an object of strings, numbers and lists");
    let again = decode("application/json", &text, group, version, kind, FieldValidation::Strict);
    let again = again.unwrap_or_else(|e| panic!("refuses its own output: {}\n{}", e.message, decoded.object));
    assert_eq!(again.object, decoded.object, "canonical form is not stable");
});
