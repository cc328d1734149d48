//! The schema as server-side apply sees it: what may be owned apart, and how the elements of a list are told apart.

use super::element::{Element, Scalar};
use crate::schema::{Field, Leaf, Shape, Topology, Type, TypeId, attribute, table};
use serde_json::{Map, Value};
use std::sync::LazyLock;

static NULL: Value = Value::Null;
static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// How a value is owned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    /// As a whole.
    Leaf,
    /// Field by field.
    Struct(TypeId),
    /// Key by key.
    Map(Leaf),
    /// Key by key, a list as a whole.
    MapOfLists,
    /// A list of values, each by itself.
    Set,
    /// A list of objects with key fields (comma-separated), each by itself.
    Keyed(&'static str, TypeId),
}

impl Node {
    /// The object itself.
    pub(super) fn object(id: TypeId) -> Self {
        Self::Struct(id)
    }

    /// A field of an object.
    pub(super) fn of(field: &Field) -> Self {
        match (field.shape, field.topology) {
            (_, Topology::Atomic) => Self::Leaf,
            (Shape::One(leaf), _) => Self::of_leaf(leaf),
            (Shape::Map(leaf), _) => Self::Map(leaf),
            (Shape::MapOfLists(_), _) => Self::MapOfLists,
            (Shape::List(Leaf::Message(id)), Topology::Map) => {
                Self::Keyed(attribute(field.attributes, "keys=").unwrap_or_default(), id)
            }
            (Shape::List(_), Topology::Set) => Self::Set,
            (Shape::List(_), _) => Self::Leaf,
        }
    }

    fn of_leaf(leaf: Leaf) -> Self {
        match leaf {
            Leaf::Message(id) if !table().get(id).atomic => Self::Struct(id),
            _ => Self::Leaf,
        }
    }

    /// A declared field.
    fn field(self, name: &str) -> Option<&'static Field> {
        match self {
            Self::Struct(id) => table().get(id).field(name),
            _ => None,
        }
    }

    /// What Go's encoder writes for a field that was never set: an empty object for a struct that is no pointer, null for a
    /// list without `omitempty`. Who fills such a field in does not own the field, only what is below it.
    pub(super) fn implied(self, key: &str) -> Option<&'static Value> {
        let field = self.field(key).filter(|field| !field.pointer)?;
        match field.shape {
            Shape::One(Leaf::Message(_)) => Some(&NOTHING),
            Shape::List(_) | Shape::Map(_) if field.required => Some(&NULL),
            _ => None,
        }
    }

    /// What lies under a key.
    pub(super) fn key(self, key: &str) -> Self {
        match self {
            Self::Map(leaf) => Self::of_leaf(leaf),
            _ => self.field(key).map_or(Self::Leaf, Self::of),
        }
    }

    /// An element of the list.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Keyed(_, id) => Self::of_leaf(Leaf::Message(id)),
            _ => Self::Leaf,
        }
    }

    /// What lies under an element of a path.
    pub(super) fn below(self, element: &Element) -> Self {
        match element {
            Element::Field(name) => self.key(name),
            _ => self.item(),
        }
    }

    /// Whether it is a list whose elements are owned apart.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Set | Self::Keyed(..))
    }

    /// Whether it is an object that is owned part by part.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Struct(_) | Self::Map(_) | Self::MapOfLists)
    }

    /// Whether the element is a field that the type declares.
    pub(super) fn declares(self, element: &Element) -> bool {
        matches!(element, Element::Field(name) if self.field(name).is_some())
    }

    /// How an element of the list is told apart.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn element(self, item: &Value) -> Result<Element, String> {
        match self {
            Self::Keyed(keys, id) => keyed(keys, table().get(id), item),
            _ => match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type"),
                Value::Array(_) => Err("not supported: associative list with lists as elements"),
                Value::Null => Err("associative list without keys has an element that's an explicit null"),
                value => return Ok(Element::Value(Scalar::of(value))),
            }
            .map_err(str::to_owned),
        }
    }
}

fn keyed(keys: &str, ty: &Type, item: &Value) -> Result<Element, String> {
    let Some(map) = item.as_object() else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let mut key: Vec<(String, Scalar)> = Vec::new();
    for name in keys.split(',') {
        let given = map.get(name).map(Scalar::of);
        let default = || {
            let value = attribute(ty.field(name)?.attributes, "default=")?;
            Some(Scalar::Text(value.to_owned()))
        };
        key.extend(given.or_else(default).map(|value| (name.to_owned(), value)));
    }
    if key.is_empty() {
        let keys: Vec<String> = keys.split(',').map(|k| format!("{k:?}")).collect();
        let why = "(and doesn't have default values for any key fields)";
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] {why}",
            keys.join(" ")
        ));
    }
    key.sort();
    Ok(Element::Key(key))
}
