//! Single values: types, canonical forms, zeros, and what Go calls them in messages.

use super::quantity;
use crate::schema::Leaf;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

/// Why a value is refused.
pub(super) enum Wrong {
    /// It is of another JSON type.
    Type,
    /// It is of the right type, and this is wrong with it.
    Value(String),
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Checks a value and rewrites it in canonical form. `value` is not null.
pub(super) fn canonicalise(value: &mut Value, leaf: Leaf) -> Result<(), Wrong> {
    match leaf {
        Leaf::String => of_type(value.is_string()),
        Leaf::Bool => of_type(value.is_boolean()),
        Leaf::I32 => of_type(value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())),
        Leaf::I64 => of_type(value.as_i64().is_some()),
        Leaf::F64 => of_type(value.is_number()),
        Leaf::Bytes => bytes(value),
        Leaf::Time => time(value, false),
        Leaf::MicroTime => time(value, true),
        Leaf::Quantity => {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return Err(Wrong::Value(quantity::ERROR.to_owned())),
            };
            let canonical =
                quantity::canonical(&text).ok_or_else(|| Wrong::Value(quantity::ERROR.to_owned()))?;
            *value = Value::String(canonical);
            Ok(())
        }
        Leaf::IntOrString => match value {
            Value::String(_) => Ok(()),
            Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
            other => Err(Wrong::Value(format!(
                "json: cannot unmarshal {} into Go value of type int32",
                go_kind_of(other, "int32")
            ))),
        },
        Leaf::Any | Leaf::Message(_) => Ok(()),
    }
}

fn of_type(right: bool) -> Result<(), Wrong> {
    if right { Ok(()) } else { Err(Wrong::Type) }
}

fn bytes(value: &mut Value) -> Result<(), Wrong> {
    let Value::String(text) = value else { return Err(Wrong::Type) };
    // Go ignores line breaks in base64.
    if text.contains(['\n', '\r']) {
        text.retain(|c| c != '\n' && c != '\r');
    }
    match BASE64.decode(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            Err(Wrong::Value(format!("illegal base64 data at input byte {at}")))
        }
    }
}

fn time(value: &mut Value, micro: bool) -> Result<(), Wrong> {
    let Value::String(text) = value else {
        let what = go_kind_of(value, "string");
        return Err(Wrong::Value(format!("json: cannot unmarshal {what} into Go value of type string")));
    };
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    match parsed {
        Ok(at) if text.contains(['T', 't']) => {
            *value =
                Value::String(if micro { format!("{at:.6}") } else { format!("{:.0}", whole_second(at)) });
            Ok(())
        }
        _ => {
            let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
            Err(Wrong::Value(format!(
                "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""
            )))
        }
    }
}

/// Drops the fraction, as Go's layout without one does.
fn whole_second(at: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// What stands for null inside a list or a map.
pub(super) fn zero(leaf: Leaf) -> Value {
    match leaf {
        Leaf::String | Leaf::Bytes => json!(""),
        Leaf::Bool => json!(false),
        Leaf::I32 | Leaf::I64 | Leaf::F64 | Leaf::IntOrString => json!(0),
        Leaf::Quantity => json!("0"),
        Leaf::Message(_) => json!({}),
        Leaf::Time | Leaf::MicroTime | Leaf::Any => Value::Null,
    }
}

/// Whether a scalar is its type's zero.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(set) => !set,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Go's name of a JSON value's type.
pub(super) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Like [`go_kind`], with the number itself if a number would be right but this one does not fit.
pub(super) fn go_kind_of(value: &Value, go_type: &str) -> String {
    match value {
        Value::Number(n) if go_type.starts_with("int") => format!("number {n}"),
        _ => go_kind(value).to_owned(),
    }
}

/// Go's name of a leaf's type; messages are named by their table.
pub(super) fn go_type(leaf: Leaf) -> &'static str {
    match leaf {
        Leaf::String => "string",
        Leaf::Bool => "bool",
        Leaf::I32 => "int32",
        Leaf::I64 => "int64",
        Leaf::F64 => "float64",
        Leaf::Bytes => "[]uint8",
        Leaf::Time => "v1.Time",
        Leaf::MicroTime => "v1.MicroTime",
        Leaf::Quantity => "resource.Quantity",
        Leaf::IntOrString => "intstr.IntOrString",
        Leaf::Any | Leaf::Message(_) => "runtime.RawExtension",
    }
}
