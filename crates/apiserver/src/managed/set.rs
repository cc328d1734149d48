//! Sets of paths into an object, and FieldsV1, the form in which `metadata.managedFields` holds them.

use super::element::Element;
use super::node::Node;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set of paths, as a tree. Invariant: below the root, no tree is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set {
    /// Whether the path to this tree is in the set.
    pub(super) here: bool,
    /// The trees below it.
    pub(super) below: BTreeMap<Element, Self>,
}

/// The empty set.
pub(super) static EMPTY: Set = Set { here: false, below: BTreeMap::new() };

impl Set {
    /// The set of the path that leads here.
    pub(super) fn member() -> Self {
        Self { here: true, below: BTreeMap::new() }
    }

    /// Whether there is no path in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.below.is_empty()
    }

    /// The paths that go on with an element.
    pub(super) fn at(&self, element: &Element) -> &Self {
        self.below.get(element).unwrap_or(&EMPTY)
    }

    /// Adds the paths of a set below an element, unless it is empty.
    pub(super) fn put(&mut self, element: Element, set: Self) {
        if !set.is_empty() {
            self.below.insert(element, set);
        }
    }

    /// Adds a path of fields.
    pub(crate) fn insert(&mut self, path: &[&str]) {
        match path {
            [] => self.here = true,
            [first, rest @ ..] => self.below.entry(Element::field(first)).or_default().insert(rest),
        }
    }

    /// Whether a path is in it.
    pub(super) fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => self.here,
            [first, rest @ ..] => self.at(first).has(rest),
        }
    }

    /// What is in either.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.add(other);
        all
    }

    /// Adds all of another set.
    pub(super) fn add(&mut self, other: &Self) {
        self.here |= other.here;
        for (element, set) in &other.below {
            self.below.entry(element.clone()).or_default().add(set);
        }
    }

    /// What is in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self { here: self.here && other.here, below: BTreeMap::new() };
        for (element, set) in &self.below {
            both.put(element.clone(), set.intersection(other.at(element)));
        }
        both
    }

    /// What is here but not there.
    pub(super) fn difference(&self, other: &Self) -> Self {
        let mut rest = Self { here: self.here && !other.here, below: BTreeMap::new() };
        for (element, set) in &self.below {
            rest.put(element.clone(), set.difference(other.at(element)));
        }
        rest
    }

    /// What is neither there nor below a path that is there.
    pub(super) fn without_below(&self, other: &Self) -> Self {
        if other.here {
            return Self::default();
        }
        let mut rest = Self { here: self.here, below: BTreeMap::new() };
        for (element, set) in &self.below {
            rest.put(element.clone(), set.without_below(other.at(element)));
        }
        rest
    }

    /// The set with every declared field that a path leads through.
    pub(super) fn with_named_fields(&self, node: Node) -> Self {
        let mut all = Self { here: self.here, below: BTreeMap::new() };
        for (element, set) in &self.below {
            let mut set = set.with_named_fields(node.below(element));
            set.here |= node.declares(element);
            all.put(element.clone(), set);
        }
        all
    }

    /// All paths: of each tree first those of its own elements, then what lies deeper.
    pub(super) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for (element, set) in &self.below {
            if set.here {
                paths.push([prefix.as_slice(), std::slice::from_ref(element)].concat());
            }
        }
        for (element, set) in &self.below {
            prefix.push(element.clone());
            set.collect_paths(prefix, paths);
            prefix.pop();
        }
    }

    /// As FieldsV1.
    pub(crate) fn to_fields(&self) -> Value {
        let mut map = Map::new();
        for (element, set) in &self.below {
            let mut below = set.to_fields();
            if let (true, false, Some(fields)) = (set.here, set.below.is_empty(), below.as_object_mut()) {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.serialise(), below);
        }
        Value::Object(map)
    }

    /// Reads FieldsV1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_fields(fields: &Value) -> Result<Self, String> {
        let mut set = Self::default();
        let Some(map) = fields.as_object() else {
            return Err("fieldsV1 must be an object".to_owned());
        };
        for (key, value) in map.iter().filter(|(key, _)| *key != ".") {
            let Some(element) = Element::parse(key)? else { continue };
            let mut below = Self::from_fields(value)?;
            below.here = below.below.is_empty() || value.get(".").is_some();
            set.below.insert(element, below);
        }
        Ok(set)
    }
}
