//! Kubernetes' protobuf: any bytes give an object or an error; an object is in canonical form already.
#![no_main]

mod kinds;

use libfuzzer_sys::fuzz_target;
use sealane_apiserver::codec::{FieldValidation, decode};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fuzz_target!(|data: &[u8]| {
    let Some(((group, version, kind), body)) = kinds::choose(data) else { return };
    let Ok(decoded) = decode(PROTOBUF, body, group, version, kind, FieldValidation::Strict) else { return };
    let text = serde_json::to_vec(&decoded.object).expect("an object of strings, numbers and lists");
    let again = decode("application/json", &text, group, version, kind, FieldValidation::Strict);
    let again = again.unwrap_or_else(|e| panic!("refuses its own output: {}\n{}", e.message, decoded.object));
    assert_eq!(again.object, decoded.object, "canonical form is not stable");
});
