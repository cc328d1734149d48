//! An applied configuration laid over an object, and paths taken out of one.

use super::element::Element;
use super::items::Items;
use super::node::Node;
use super::set::Set;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, VecDeque};

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

/// What stands, with what is applied over it; `None` if there is neither.
pub(super) fn merge(live: Option<&Value>, applied: Option<&Value>, node: Node) -> Option<Value> {
    let leaf = !node.is_list() && !node.is_object();
    if leaf || (is_empty(live) && is_empty(applied)) {
        return applied.or(live).cloned();
    }
    if node.is_list() {
        let list = lists(live, applied, node);
        return (!list.is_empty()).then_some(Value::Array(list));
    }
    let (live, applied) = (live.and_then(Value::as_object), applied.and_then(Value::as_object));
    let mut out = Map::new();
    for key in [live, applied].into_iter().flatten().flat_map(Map::keys) {
        if out.contains_key(key) {
            continue;
        }
        let (live, applied) = (live.and_then(|o| o.get(key)), applied.and_then(|o| o.get(key)));
        if let Some(value) = merge(live, applied, node.key(key)) {
            out.insert(key.clone(), value);
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// The applied elements come in their order; those that only stand keep their place between the ones both have.
fn lists(live: Option<&Value>, applied: Option<&Value>, node: Node) -> Vec<Value> {
    let (live, applied) = (Items::of(live, node), Items::of(applied, node));
    let mut shared: VecDeque<&Element> =
        applied.order.iter().map(|(e, _)| e).filter(|e| live.has(e)).collect();
    let mut next = shared.pop_front();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let mut out = Vec::new();
    let (mut l, mut r) = (live.order.iter().peekable(), applied.order.iter().peekable());
    let both = |e: &Element| merge(live.one(e), applied.one(e), node.item());
    while l.peek().is_some() || r.peek().is_some() {
        if let (Some((standing, _)), Some((wanted, _))) = (l.peek(), r.peek()) {
            if standing == wanted {
                done.insert(wanted);
                out.extend(both(wanted));
                l.next();
                r.next();
                next = shared.pop_front();
                continue;
            }
            if applied.has(standing) && next.is_some_and(|n| n != standing) {
                // both have it, but it is not its turn
                l.next();
                continue;
            }
        }
        if let Some((standing, item)) = l.peek() {
            if !applied.has(standing) {
                out.extend(merge(Some(item), None, node.item()));
                l.next();
                continue;
            }
            if done.contains(standing) {
                l.next();
            }
        }
        if let Some((wanted, _)) = r.next() {
            done.insert(wanted);
            out.extend(both(wanted));
            if next == Some(wanted) {
                next = shared.pop_front();
            }
        }
    }
    out
}

/// The value without the paths of a set; null if nothing is left of it.
pub(super) fn remove(value: &Value, paths: &Set, node: Node) -> Value {
    if !node.is_list() && !node.is_object() {
        // what is owned as a whole goes as a whole: with its own path, above
        return if value.is_object() || value.is_array() { Value::Null } else { value.clone() };
    }
    match value {
        Value::Array(list) => {
            let kept: Vec<Value> = list.iter().filter_map(|item| keep_item(item, paths, node)).collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map {
                let below = paths.at(&Element::field(key));
                if below.here {
                    continue;
                }
                let value =
                    if below.is_empty() { value.clone() } else { remove(value, below, node.key(key)) };
                let implied = node.implied(key).filter(|_| value.is_null());
                kept.insert(key.clone(), implied.cloned().unwrap_or(value));
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        _ => Value::Null,
    }
}

/// Puts back, empty, the structs that were removed as a whole but are no pointers in Go, so that they are always there.
pub(super) fn keep_structs(before: &Value, after: &mut Value, node: Node) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
    for (key, value) in before {
        let implied = node.implied(key).filter(|implied| implied.is_object());
        match (after.get_mut(key), implied) {
            (Some(after), _) => keep_structs(value, after, node.key(key)),
            (None, Some(implied)) => drop(after.insert(key.clone(), implied.clone())),
            (None, None) => {}
        }
    }
}

fn keep_item(item: &Value, paths: &Set, node: Node) -> Option<Value> {
    let Ok(element) = node.element(item) else { return Some(item.clone()) };
    let below = paths.at(&element);
    if below.here {
        return None;
    }
    let kept = if below.is_empty() { item.clone() } else { remove(item, below, node.item()) };
    (!kept.is_null()).then_some(kept)
}
