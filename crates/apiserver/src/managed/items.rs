//! The elements of a list by what tells them apart. Lists that were not applied may hold an element twice
//! (environment variables): such elements are owned together, as one.

use super::element::Element;
use super::node::Node;
use serde_json::Value;
use std::collections::BTreeMap;

/// The elements of a list in order, and by what tells them apart. Elements that nothing tells apart are left out.
pub(super) struct Items<'a> {
    pub(super) order: Vec<(Element, &'a Value)>,
    by_element: BTreeMap<Element, Vec<&'a Value>>,
}

impl<'a> Items<'a> {
    pub(super) fn of(list: Option<&'a Value>, node: Node) -> Self {
        let mut items = Self { order: Vec::new(), by_element: BTreeMap::new() };
        for item in list.and_then(Value::as_array).into_iter().flatten() {
            let Ok(element) = node.element(item) else { continue };
            items.by_element.entry(element.clone()).or_default().push(item);
            items.order.push((element, item));
        }
        items
    }

    /// All elements of that name.
    pub(super) fn all(&self, element: &Element) -> &[&'a Value] {
        self.by_element.get(element).map_or(&[], Vec::as_slice)
    }

    /// The element of that name, if there is exactly one.
    pub(super) fn one(&self, element: &Element) -> Option<&'a Value> {
        match self.all(element) {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether there is one.
    pub(super) fn has(&self, element: &Element) -> bool {
        self.by_element.contains_key(element)
    }

    /// Every name once.
    pub(super) fn names(&self) -> impl Iterator<Item = &Element> {
        self.by_element.keys()
    }
}
