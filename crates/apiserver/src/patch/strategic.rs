//! Kubernetes' strategic merge patch: objects are merged, lists replaced or merged by a key, as the schema says.
//! Semantics: apimachinery `pkg/util/strategicpatch/patch.go`.

use super::directives::{Directives, PATCH, is_bare_directive, is_directive, without_directives};
use super::order::{arrange, identity};
use crate::schema::{Field, Leaf, Shape, TypeId, table};
use crate::status::ApiError;
use serde_json::{Map, Value};

/// Applies a patch, whose top is an object, to an object of that type.
pub(super) fn apply(original: &Value, patch: &Value, id: TypeId) -> Result<Value, ApiError> {
    let (Value::Object(object), Value::Object(patch)) = (original, patch) else {
        return Err(ApiError::bad_request("Invalid JSON document"));
    };
    let mut object = object.clone();
    merge_object(&mut object, patch, Some(id))?;
    Ok(Value::Object(object))
}

/// `id` is the object's type, if it has one (a map of labels has none).
fn merge_object(
    object: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    id: Option<TypeId>,
) -> Result<(), ApiError> {
    match directive(patch)? {
        Some("replace") => {
            if let Value::Object(new) = without_directives(&Value::Object(patch.clone())) {
                *object = new;
            }
            return Ok(());
        }
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        _ => {}
    }
    let directives = Directives::read(patch)?;
    directives.retain(object, patch)?;
    for (field, values) in &directives.delete {
        if let Some(Value::Array(list)) = object.get_mut(*field) {
            list.retain(|element| !values.contains(element));
        }
    }
    for (key, value) in patch.iter().filter(|(key, _)| !is_directive(key)) {
        let field = id.and_then(|id| table().get(id).field(key));
        merge_field(object, key, value, field, directives.order_of(key))?;
    }
    for (key, order) in directives.order.iter().filter(|(key, _)| !patch.contains_key(*key)) {
        let merge_key = id.and_then(|id| table().get(id).field(key)).map_or("", |f| f.merge_key);
        if let Some(Value::Array(list)) = object.get_mut(*key) {
            let live = list.clone();
            arrange(list, &live, &[], order, merge_key)?;
        }
    }
    Ok(())
}

fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    match patch.get(PATCH) {
        None => Ok(None),
        Some(Value::String(text)) if matches!(text.as_str(), "replace" | "delete" | "merge") => {
            Ok(Some(text))
        }
        Some(other) => Err(ApiError::bad_request(format!("unknown patch type found: {other}"))),
    }
}

fn merge_field(
    object: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    field: Option<&Field>,
    order: Option<&Vec<Value>>,
) -> Result<(), ApiError> {
    if value.is_null() {
        object.remove(key);
        return Ok(());
    }
    match (object.get_mut(key), value) {
        (Some(Value::Object(_)), Value::Object(_)) if field.is_some_and(|f| f.patch.replace) => {
            object.insert(key.to_owned(), without_directives(value));
        }
        (Some(Value::Object(current)), Value::Object(patch)) => {
            let id =
                field.and_then(|f| if let Shape::One(Leaf::Message(id)) = f.shape { Some(id) } else { None });
            merge_object(current, patch, id)?;
        }
        (None, Value::Object(patch)) => {
            // Merged into nothing, so that directives further down are obeyed and not stored.
            let id =
                field.and_then(|f| if let Shape::One(Leaf::Message(id)) = f.shape { Some(id) } else { None });
            let mut new = Map::new();
            merge_object(&mut new, patch, id)?;
            if directive(patch)? != Some("delete") {
                object.insert(key.to_owned(), Value::Object(new));
            }
        }
        (Some(Value::Array(current)), Value::Array(patch)) if field.is_some_and(|f| f.patch.merge) => {
            merge_list(current, patch, field, order)?;
        }
        (None, Value::Array(patch)) if field.is_some_and(|f| f.patch.merge) => {
            let mut new = Vec::new();
            merge_list(&mut new, patch, field, order)?;
            object.insert(key.to_owned(), Value::Array(new));
        }
        _ => {
            object.insert(key.to_owned(), without_directives(value));
        }
    }
    Ok(())
}

fn merge_list(
    current: &mut Vec<Value>,
    patch: &[Value],
    field: Option<&Field>,
    order: Option<&Vec<Value>>,
) -> Result<(), ApiError> {
    let merge_key = field.map_or("", |f| f.merge_key);
    let live = if order.is_some() { current.clone() } else { Vec::new() };
    if merge_key.is_empty() {
        for element in patch {
            if !current.contains(element) {
                current.push(without_directives(element));
            }
        }
        return order.map_or(Ok(()), |order| arrange(current, &live, patch, order, merge_key));
    }
    if patch.iter().any(|e| is_bare_directive(e) && e[PATCH] == "replace") {
        let rest: Vec<Value> = patch.iter().filter(|e| !is_bare_directive(e)).cloned().collect();
        if let Value::Array(new) = without_directives(&Value::Array(rest)) {
            *current = new;
        }
        return Ok(());
    }
    let id = field.and_then(|f| if let Shape::List(Leaf::Message(id)) = f.shape { Some(id) } else { None });
    for element in patch {
        merge_element(current, element, merge_key, id)?;
    }
    order.map_or(Ok(()), |order| arrange(current, &live, patch, order, merge_key))
}

fn merge_element(
    current: &mut Vec<Value>,
    element: &Value,
    merge_key: &str,
    id: Option<TypeId>,
) -> Result<(), ApiError> {
    let Value::Object(patch) = element else {
        return Err(ApiError::bad_request(
            "invalid patch: a list of objects cannot be merged with other values",
        ));
    };
    let key = identity(element, merge_key)?;
    let at = current.iter().position(|e| e.get(merge_key) == Some(key));
    match (directive(patch)?, at) {
        (Some("delete"), _) => current.retain(|e| e.get(merge_key) != Some(key)),
        (Some("replace"), _) => {
            return Err(ApiError::bad_request(
                "invalid patch: an element of a list cannot be replaced, only the list",
            ));
        }
        (_, Some(at)) => {
            if let Some(Value::Object(object)) = current.get_mut(at) {
                merge_object(object, patch, id)?;
            }
        }
        (_, None) => {
            let mut object = Map::new();
            merge_object(&mut object, patch, id)?;
            current.push(Value::Object(object));
        }
    }
    Ok(())
}
