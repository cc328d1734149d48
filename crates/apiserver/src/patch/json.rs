//! JSON patch, RFC 6902.

use super::does_not_apply;
use crate::status::ApiError;
use serde::Deserialize;
use serde_json::Value;

/// Kubernetes' limit.
const MAX_OPERATIONS: usize = 10_000;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Operation {
    Add {
        path: String,
        #[serde(default)]
        value: Value,
    },
    Remove {
        path: String,
    },
    Replace {
        path: String,
        #[serde(default)]
        value: Value,
    },
    Move {
        path: String,
        from: String,
    },
    Copy {
        path: String,
        from: String,
    },
    Test {
        path: String,
        #[serde(default)]
        value: Value,
    },
}

/// Applies all operations or none.
pub(super) fn apply(original: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let operations: Vec<Operation> = serde_json::from_slice(patch)
        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    if operations.len() > MAX_OPERATIONS {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    let mut result = original.clone();
    // Repeated copies of an object into itself would double it each time.
    let mut copied = 0;
    for operation in operations {
        step(&mut result, operation, &mut copied).map_err(|why| does_not_apply(&why))?;
    }
    Ok(result)
}

/// What all copies of one patch may add, in nodes of the tree.
const MAX_COPIED: usize = 1 << 18;

fn step(root: &mut Value, operation: Operation, copied: &mut usize) -> Result<(), String> {
    match operation {
        Operation::Add { path, value } => add(root, &path, value),
        Operation::Remove { path } => {
            remove(root, &path).map(drop).map_err(|e| format!("remove operation does not apply: {e}"))
        }
        Operation::Replace { path, value } => match root.pointer_mut(&path) {
            Some(target) => {
                *target = value;
                Ok(())
            }
            None => {
                Err(format!("replace operation does not apply: doc is missing key: {path}: missing value"))
            }
        },
        Operation::Move { path, from } => {
            if path.starts_with(&format!("{from}/")) {
                return Err(format!("move operation does not apply: {path} is inside of {from}"));
            }
            let value = remove(root, &from).map_err(|e| format!("move operation does not apply: {e}"))?;
            add(root, &path, value)
        }
        Operation::Copy { path, from } => {
            let missing =
                || format!("copy operation does not apply: doc is missing from path: {from}: missing value");
            let value = root.pointer(&from).ok_or_else(missing)?.clone();
            *copied += nodes(&value);
            if *copied > MAX_COPIED {
                return Err("copy operation does not apply: the copies are too large".to_owned());
            }
            add(root, &path, value)
        }
        Operation::Test { path, value } => {
            let found = root.pointer(&path).unwrap_or(&Value::Null);
            if *found == value { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
        }
    }
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(nodes).sum::<usize>(),
        _ => 1,
    }
}

fn add(root: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *root = value;
        return Ok(());
    }
    let missing = || format!("add operation does not apply: doc is missing path: \"{path}\": missing value");
    let (parent, key) = path.rsplit_once('/').ok_or_else(missing)?;
    match root.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(unescape(key), value);
            Ok(())
        }
        Some(Value::Array(list)) if key == "-" => {
            list.push(value);
            Ok(())
        }
        Some(Value::Array(list)) => match index(key) {
            Some(at) if at <= list.len() => {
                list.insert(at, value);
                Ok(())
            }
            _ => Err(format!(
                "add operation does not apply: doc is missing path: {path}: Unable to access invalid index: {key}: invalid index referenced"
            )),
        },
        _ => Err(missing()),
    }
}

fn remove(root: &mut Value, path: &str) -> Result<Value, String> {
    let missing = || format!("doc is missing path: \"{path}\": missing value");
    let (parent, key) = path.rsplit_once('/').ok_or_else(missing)?;
    match root.pointer_mut(parent) {
        Some(Value::Object(map)) => map
            .remove(&unescape(key))
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value")),
        Some(Value::Array(list)) => match index(key) {
            Some(at) if at < list.len() => Ok(list.remove(at)),
            _ => Err(format!("Unable to access invalid index: {key}: invalid index referenced")),
        },
        _ => Err(missing()),
    }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn index(key: &str) -> Option<usize> {
    let plain = key == "0" || !key.starts_with(['0', '+']);
    key.parse().ok().filter(|_| plain)
}
