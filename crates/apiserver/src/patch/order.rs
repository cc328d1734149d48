//! `$setElementOrder`: the order of a merged list.

use crate::status::ApiError;
use serde_json::Value;

/// What identifies an element: the value of its merge key, or, without one, the element itself.
pub(super) fn identity<'a>(element: &'a Value, merge_key: &str) -> Result<&'a Value, ApiError> {
    if merge_key.is_empty() {
        return Ok(element);
    }
    element.get(merge_key).ok_or_else(|| {
        ApiError::bad_request(format!("map: {element} does not contain declared merge key: {merge_key}"))
    })
}

/// Sorts a merged list: elements named in `order` come in that order; the others (which the caller of the patch does not
/// know) keep their place relative to them in the `live` list as well as they can.
pub(super) fn arrange(
    merged: &mut Vec<Value>,
    live: &[Value],
    patch: &[Value],
    order: &[Value],
    merge_key: &str,
) -> Result<(), ApiError> {
    let order: Vec<&Value> = order.iter().map(|o| identity(o, merge_key)).collect::<Result<_, _>>()?;
    for element in patch.iter().filter(|e| e.get("$patch").is_none()) {
        let key = identity(element, merge_key)?;
        if !order.contains(&key) {
            let shown: Vec<String> = order.iter().map(ToString::to_string).collect();
            return Err(ApiError::bad_request(format!(
                "The order in patch list:\n{key}\n doesn't match $setElementOrder list:\n[{}]\n",
                shown.join(" ")
            )));
        }
    }
    let place_in = |list: &[&Value], element: &Value| {
        let key = identity(element, merge_key).ok()?;
        list.iter().position(|other| *other == key)
    };
    let live: Vec<&Value> = live.iter().filter_map(|e| identity(e, merge_key).ok()).collect();
    let placed = merged.drain(..).map(|e| (place_in(&order, &e), place_in(&live, &e), e));
    let (mut known, unknown): (Vec<_>, Vec<_>) = placed.partition(|(place, ..)| place.is_some());
    known.sort_by_key(|(place, ..)| *place);
    // Each unknown element goes before the first known one that came after it, never before an earlier unknown one.
    let mut from = 0;
    for element in unknown {
        let before = known[from..].iter().position(|(_, live, _)| live.is_some() && element.1 < *live);
        let at = before.map_or(known.len(), |offset| from + offset);
        known.insert(at, element);
        from = at + 1;
    }
    merged.extend(known.into_iter().map(|(.., element)| element));
    Ok(())
}
