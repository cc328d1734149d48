//! Walks an object along its schema: finds unknown fields and wrong types, and brings the object into canonical form.

use super::FieldValidation;
use super::leaf;
use crate::schema::{Field, Leaf, Shape, Table, Type, TypeId, table};
use serde_json::{Map, Value};

/// Kubernetes stops to count after so many.
const MAX_STRICT_ERRORS: usize = 100;

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// `unknown field "…"`, `duplicate field "…"`.
    pub(crate) strict: Vec<String>,
}

impl Outcome {
    /// The warnings, or the text of the refusal.
    pub(crate) fn warnings(self, validation: FieldValidation) -> Result<Vec<String>, String> {
        match validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(self.strict),
            FieldValidation::Strict if self.strict.is_empty() => Ok(Vec::new()),
            FieldValidation::Strict => Err(format!("strict decoding error: {}", self.strict.join(", "))),
        }
    }
}

/// Brings `object` into the canonical form of its type; the error is Go's text for a wrong type.
pub(crate) fn conform(object: &mut Value, id: TypeId) -> Result<Outcome, String> {
    let mut walk = Walk { table: table(), path: Vec::new(), outcome: Outcome::default() };
    walk.message(object, id)?;
    Ok(walk.outcome)
}

enum Step {
    Key(String),
    Index(usize),
}

struct Walk {
    table: &'static Table,
    path: Vec<Step>,
    outcome: Outcome,
}

impl Walk {
    fn message(&mut self, value: &mut Value, id: TypeId) -> Result<(), String> {
        let ty = self.table.get(id);
        let Some(map) = value.as_object_mut() else {
            return Err(self.mismatch(value, None, ty.go_name()));
        };
        self.drop_unknown(map, ty);
        for field in &ty.fields {
            let Some(value) = map.get_mut(field.name) else { continue };
            self.path.push(Step::Key(field.name.to_owned()));
            self.field(value, field, ty)?;
            self.path.pop();
            if is_absent(value, field) {
                map.remove(field.name);
            }
        }
        Ok(())
    }

    fn drop_unknown(&mut self, map: &mut Map<String, Value>, ty: &Type) {
        let unknown: Vec<String> = map.keys().filter(|k| ty.field(k).is_none()).cloned().collect();
        for key in unknown {
            map.remove(&key);
            if self.outcome.strict.len() < MAX_STRICT_ERRORS {
                self.path.push(Step::Key(key));
                self.outcome.strict.push(format!("unknown field \"{}\"", self.json_path()));
                self.path.pop();
            }
        }
    }

    fn field(&mut self, value: &mut Value, field: &Field, ty: &Type) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        match field.shape {
            Shape::One(leaf) => self.leaf(value, leaf, ty),
            Shape::List(leaf) => self.list(value, leaf, ty),
            Shape::Map(leaf) => self.map(value, leaf, ty, "", |walk, value| walk.leaf(value, leaf, ty)),
            Shape::MapOfLists(leaf) => {
                self.map(value, leaf, ty, "[]", |walk, value| walk.list(value, leaf, ty))
            }
        }
    }

    fn list(&mut self, value: &mut Value, element: Leaf, ty: &Type) -> Result<(), String> {
        if value.is_null() {
            *value = Value::Array(Vec::new());
        }
        let Some(list) = value.as_array_mut() else {
            return Err(self.mismatch(value, Some(ty), &format!("[]{}", self.go_type(element))));
        };
        for (at, value) in list.iter_mut().enumerate() {
            self.path.push(Step::Index(at));
            self.leaf(value, element, ty)?;
            self.path.pop();
        }
        Ok(())
    }

    fn map(
        &mut self,
        value: &mut Value,
        leaf: Leaf,
        ty: &Type,
        prefix: &str,
        mut each: impl FnMut(&mut Self, &mut Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(map) = value.as_object_mut() else {
            let go_type = format!("map[string]{prefix}{}", self.go_type(leaf));
            return Err(self.mismatch(value, Some(ty), &go_type));
        };
        // Go's message has no key of a map in its path.
        map.values_mut().try_for_each(|value| each(self, value))
    }

    /// A single value; null inside a list or map is the type's zero.
    fn leaf(&mut self, value: &mut Value, leaf: Leaf, ty: &Type) -> Result<(), String> {
        if value.is_null() {
            *value = leaf::zero(leaf);
            return Ok(());
        }
        match leaf {
            Leaf::Message(id) => {
                if !value.is_object() {
                    return Err(self.mismatch(value, Some(ty), self.table.get(id).go_name()));
                }
                self.message(value, id)
            }
            _ => match leaf::canonicalise(value, leaf) {
                Ok(()) => Ok(()),
                Err(leaf::Wrong::Type) => Err(self.mismatch(value, Some(ty), &self.go_type(leaf))),
                Err(leaf::Wrong::Value(text)) => Err(text),
            },
        }
    }

    fn go_type(&self, leaf: Leaf) -> String {
        match leaf {
            Leaf::Message(id) => self.table.get(id).go_name().to_owned(),
            _ => leaf::go_type(leaf).to_owned(),
        }
    }

    fn mismatch(&self, value: &Value, ty: Option<&Type>, go_type: &str) -> String {
        let what = leaf::go_kind_of(value, go_type);
        let keys: Vec<&str> = self
            .path
            .iter()
            .filter_map(|s| if let Step::Key(k) = s { Some(k.as_str()) } else { None })
            .collect();
        match ty {
            Some(ty) => format!(
                "json: cannot unmarshal {what} into Go struct field {}.{} of type {go_type}",
                ty.short_name(),
                keys.join(".")
            ),
            None => format!("json: cannot unmarshal {what} into Go value of type {go_type}"),
        }
    }

    fn json_path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(at) => text.push_str(&format!("[{at}]")),
            }
        }
        text
    }
}

/// Whether Go's `omitempty` would leave the field out.
fn is_absent(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => true,
        _ if field.required || field.pointer => false,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && !matches!(field.shape, Shape::One(_)),
        _ => {
            matches!(field.shape, Shape::One(leaf) if leaf != Leaf::IntOrString && leaf != Leaf::Any)
                && leaf::is_zero(value)
        }
    }
}
