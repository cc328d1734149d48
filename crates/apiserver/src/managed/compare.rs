//! What differs between two objects, path by path.

use super::element::Element;
use super::items::Items;
use super::node::Node;
use super::set::Set;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The paths that a change removed, modified and added. No path is in two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

impl Comparison {
    /// Whether nothing differs.
    pub(super) fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// The comparison without some paths and what lies below them.
    pub(super) fn excluding(&self, ignored: &Set) -> Self {
        Self {
            removed: self.removed.without_below(ignored),
            modified: self.modified.without_below(ignored),
            added: self.added.without_below(ignored),
        }
    }

    fn put(&mut self, element: &Element, below: Self) {
        self.removed.put(element.clone(), below.removed);
        self.modified.put(element.clone(), below.modified);
        self.added.put(element.clone(), below.added);
    }

    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut found = Self::default();
        match (old, new) {
            (None, Some(_)) => found.added = Set::member(),
            (Some(_), None) => found.removed = Set::member(),
            (Some(old), Some(new)) if old != new => found.modified = Set::member(),
            _ => {}
        }
        found
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Null) | None => true,
        Some(_) => false,
    }
}

/// Compares what stands with what will.
pub(super) fn compare(old: Option<&Value>, new: Option<&Value>, node: Node) -> Comparison {
    let big_leaf = !node.is_list() && !node.is_object();
    // two that are empty differ by being there
    if big_leaf || (is_empty(old) && is_empty(new)) {
        return Comparison::leaf(old, new);
    }
    let mut found = Comparison::default();
    if node.is_list() {
        lists(old, new, node, &mut found);
    } else {
        objects(old, new, node, &mut found);
    }
    found.added.here = old.is_none();
    found.removed.here = new.is_none();
    found
}

fn objects(old: Option<&Value>, new: Option<&Value>, node: Node, found: &mut Comparison) {
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    let keys: BTreeSet<&String> = [old, new].into_iter().flatten().flat_map(Map::keys).collect();
    for key in keys {
        let implied = node.implied(key);
        let old = old.and_then(|o| o.get(key).or(implied));
        let new = new.and_then(|o| o.get(key).or(implied));
        found.put(&Element::field(key), compare(old, new, node.key(key)));
    }
}

fn lists(old: Option<&Value>, new: Option<&Value>, node: Node, found: &mut Comparison) {
    let (old, new) = (Items::of(old, node), Items::of(new, node));
    let names: BTreeSet<&Element> = old.names().chain(new.names()).collect();
    for element in names {
        let item = |old, new| compare(old, new, node.item());
        let (was, is) = (old.all(element), new.all(element));
        let below = match (was.len(), is.len()) {
            (0 | 1, 0 | 1) => item(was.first().copied(), is.first().copied()),
            (0 | 1, _) => {
                let mut below = was.first().map_or_else(Comparison::default, |one| item(Some(one), None));
                below.added.here = true;
                below
            }
            (_, 0 | 1) => {
                let mut below = is.first().map_or_else(Comparison::default, |one| item(None, Some(one)));
                below.removed.here = true;
                below
            }
            _ if was != is => Comparison { modified: Set::member(), ..Comparison::default() },
            _ => Comparison::default(),
        };
        found.put(element, below);
    }
}
