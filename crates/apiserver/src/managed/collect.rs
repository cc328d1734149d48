//! What an applied configuration says something about.

use super::element::Element;
use super::items::Items;
use super::node::Node;
use super::set::Set;
use serde_json::Value;

/// The paths of a value.
pub(super) fn collect(value: &Value, node: Node) -> Set {
    if node.is_list() {
        return value.as_array().map_or_else(Set::default, |_| of_list(value, node));
    }
    if !node.is_object() {
        return Set::member();
    }
    let mut set = Set::default();
    for (key, value) in value.as_object().into_iter().flatten() {
        let element = Element::field(key);
        let mut below = collect(value, node.key(key));
        let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        below.here |= empty || !node.declares(&element);
        set.put(element, below);
    }
    set
}

fn of_list(value: &Value, node: Node) -> Set {
    let items = Items::of(Some(value), node);
    let mut set = Set::default();
    for element in items.names() {
        // what is there twice is owned as one
        let mut below = items.one(element).map_or_else(Set::default, |item| collect(item, node.item()));
        below.here = true;
        set.put(element.clone(), below);
    }
    set
}
