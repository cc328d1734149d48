//! One step of a path into an object: a field, an element of a list by its key or value, or an index.
//!
//! The text forms are those of `structured-merge-diff/fieldpath`: `f:NAME`, `k:{"port":80}`, `v:"x"`, `i:0` in FieldsV1, and
//! `.spec.ports[port=80]` in messages.

use serde_json::{Map, Value};
use std::fmt;

/// A value that tells elements of a list apart. Equal JSON values are equal, whatever way a number is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Anything else, as JSON.
    Other(String),
}

impl Scalar {
    /// The value of a JSON value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Bool(b) => Self::Bool(*b),
            Value::String(s) => Self::Text(s.clone()),
            Value::Number(n) => n.as_i64().map_or_else(|| Self::Other(n.to_string()), Self::Int),
            other => Self::Other(other.to_string()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::from(*n),
            Self::Text(s) => Value::String(s.clone()),
            Self::Other(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json().fmt(f)
    }
}

/// One step of a path. The order is that of FieldsV1: fields, keys, values, indices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of an object.
    Field(String),
    /// The element of a list whose key fields have these values, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// The element of a set.
    Value(Scalar),
    /// The element at a place.
    Index(usize),
}

impl Element {
    /// A field.
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The FieldsV1 form.
    pub(super) fn serialise(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => {
                let fields: Map<String, Value> = key.iter().map(|(k, v)| (k.clone(), v.json())).collect();
                format!("k:{}", Value::Object(fields))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(at) => format!("i:{at}"),
        }
    }

    /// Reads the FieldsV1 form. `Ok(None)`: a kind of element that a later version may know.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        let wrong = |what: &dyn fmt::Display| format!("parsing key as path element: {text}: {what}");
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong(&"missing colon"))?;
        Ok(Some(match kind {
            "f" => Self::field(rest),
            "k" => {
                let key: Map<String, Value> = serde_json::from_str(rest).map_err(|e| wrong(&e))?;
                let mut key: Vec<_> = key.iter().map(|(k, v)| (k.clone(), Scalar::of(v))).collect();
                key.sort();
                Self::Key(key)
            }
            "v" => Self::Value(Scalar::of(&serde_json::from_str(rest).map_err(|e| wrong(&e))?)),
            "i" => Self::Index(rest.parse().map_err(|e| wrong(&e))?),
            _ => return Ok(None),
        }))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(key) => {
                let terms: Vec<String> = key.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", terms.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}
