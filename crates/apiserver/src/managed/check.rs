//! Whether an applied configuration fits the schema. Server-side apply refuses unknown fields whatever `fieldValidation`
//! says, since nobody could own them. Texts: `structured-merge-diff/typed/validate.go`.

use super::node::Node;
use crate::schema::{Leaf, Shape, table};
use serde_json::Value;
use std::collections::BTreeSet;

/// All that is wrong, one line each: `.spec.x: field not declared in schema`.
pub(super) fn check(config: &Value, id: crate::schema::TypeId) -> Vec<String> {
    let mut walk = Walk::default();
    walk.value(config, Leaf::Message(id));
    walk.errors
}

#[derive(Default)]
struct Walk {
    path: String,
    errors: Vec<String>,
}

impl Walk {
    fn say(&mut self, what: &str) {
        self.errors.push(if self.path.is_empty() {
            what.to_owned()
        } else {
            format!("{}: {what}", self.path)
        });
    }

    fn under(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }

    fn field(&mut self, value: &Value, shape: Shape, node: Node) {
        match shape {
            Shape::One(leaf) => self.value(value, leaf),
            Shape::List(leaf) => self.list(value, leaf, node),
            Shape::Map(leaf) => self.map(value, |walk, value| walk.value(value, leaf)),
            Shape::MapOfLists(leaf) => self.map(value, |walk, value| walk.list(value, leaf, Node::Leaf)),
        }
    }

    fn map(&mut self, value: &Value, visit: impl Fn(&mut Self, &Value)) {
        let Some(map) = value.as_object() else {
            if !value.is_null() {
                self.say(&format!("expected map, got {}", shown(value)));
            }
            return;
        };
        for (key, value) in map {
            self.under(&format!(".{key}"), |walk| visit(walk, value));
        }
    }

    fn list(&mut self, value: &Value, leaf: Leaf, node: Node) {
        let Some(list) = value.as_array() else {
            if !value.is_null() {
                self.say(&format!("expected list, got {}", shown(value)));
            }
            return;
        };
        let mut seen = BTreeSet::new();
        for (at, item) in list.iter().enumerate() {
            let step = if node.is_list() {
                match node.element(item) {
                    Ok(element) => {
                        let step = element.to_string();
                        if !seen.insert(element) {
                            self.say(&format!("duplicate entries for key {step}"));
                        }
                        step
                    }
                    Err(why) => return self.say(&format!("element {at}: {why}")),
                }
            } else {
                format!("[{at}]")
            };
            self.under(&step, |walk| walk.value(item, leaf));
        }
    }

    fn value(&mut self, value: &Value, leaf: Leaf) {
        if value.is_null() {
            return;
        }
        let scalar = !value.is_object() && !value.is_array();
        let (fits, what) = match leaf {
            Leaf::Message(id) => return self.message(value, id),
            Leaf::Any => return,
            Leaf::Bool => (value.is_boolean(), "boolean"),
            Leaf::I32 | Leaf::I64 | Leaf::F64 => (value.is_number(), "numeric (int or float)"),
            Leaf::String | Leaf::Bytes | Leaf::Time | Leaf::MicroTime => (value.is_string(), "string"),
            Leaf::Quantity | Leaf::IntOrString => (scalar, "any scalar"),
        };
        if !fits {
            let got = if what.starts_with("numeric") { go_type(value).to_owned() } else { shown(value) };
            self.say(&format!("expected {what}, got {got}"));
        }
    }

    fn message(&mut self, value: &Value, id: crate::schema::TypeId) {
        let ty = table().get(id);
        let Some(map) = value.as_object() else {
            return self.say(&format!("expected map, got {}", shown(value)));
        };
        for (key, value) in map {
            self.under(&format!(".{key}"), |walk| match ty.field(key) {
                Some(field) => walk.field(value, field.shape, Node::of(field)),
                None => walk.say("field not declared in schema"),
            });
        }
    }
}

/// A value as structured-merge-diff prints it.
fn shown(value: &Value) -> String {
    format!("&{{{}}}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        Value::Null | Value::Number(_) => "float64",
    }
}
