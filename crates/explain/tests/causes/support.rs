//! Cases of causes: changes of a healthy cluster, and what is to be found then.
//!
//! A case file is a list of `{case, change, add, remove, unread, resolved, probed, words, finds}`:
//! - `change`: merge patches (RFC 7396) by `Kind/name`, where the name may end in `*`;
//! - `add`: more objects; `remove`: `Kind/name` patterns;
//! - `words`: what nodes of ours say of themselves, by node; `probed`: `{Pod name: {port: taken}}`; `resolved`: `{name: known}`;
//! - `unread`: plurals of kinds that may not be read;
//! - `finds`: all findings, the worst first, as `{severity, cause, object, says, type}`; `cause` is the file's name if absent.

use sealane_explain::{Finding, Kind, Snapshot, Unread, View, check};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) case: String,
    #[serde(default)]
    change: BTreeMap<String, Value>,
    #[serde(default)]
    add: Vec<Value>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    unread: Vec<String>,
    #[serde(default)]
    words: BTreeMap<String, Value>,
    #[serde(default)]
    probed: BTreeMap<String, BTreeMap<u32, bool>>,
    #[serde(default)]
    resolved: BTreeMap<String, bool>,
    #[serde(default)]
    pub(crate) finds: Vec<Expected>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub severity: String,
    #[serde(default)]
    pub cause: String,
    pub object: String,
    pub says: String,
    #[serde(rename = "type")]
    pub fix: String,
}

/// The moment of all cases; things of the healthy cluster began ten minutes before.
const NOW: &str = "2026-01-01T00:10:00Z";

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn objects(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut value: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    value.apply_merge().unwrap();
    serde_norway::from_value(value).unwrap()
}

/// The case files: the name of a cause, and its cases.
pub(crate) fn files() -> BTreeMap<String, Vec<Case>> {
    let files = std::fs::read_dir(directory().join("cases")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut value: serde_norway::Value =
            serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        value.apply_merge().unwrap();
        let cases = serde_norway::from_value(value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path.file_stem().unwrap().to_string_lossy().into_owned(), cases)
    };
    files.map(read).collect()
}

/// The snapshot of a case.
pub(crate) fn snapshot(case: &Case) -> Snapshot {
    let mut objects = objects(&directory().join("healthy.yml"));
    let matches = |object: &Value, pattern: &str| {
        let name =
            format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        pattern.strip_suffix('*').map_or(name == pattern, |prefix| name.starts_with(prefix))
    };
    for pattern in &case.remove {
        let before = objects.len();
        objects.retain(|object| !matches(object, pattern));
        assert_ne!(before, objects.len(), "{}: nothing is {pattern}", case.case);
    }
    for (pattern, patch) in &case.change {
        let mut changed = objects.iter_mut().filter(|object| matches(object, pattern)).peekable();
        assert!(changed.peek().is_some(), "{}: nothing is {pattern}", case.case);
        changed.for_each(|object| merge(object, patch));
    }
    objects.extend(case.add.iter().cloned());
    let mut snapshot =
        Snapshot { now: NOW.parse().unwrap(), resolved: case.resolved.clone(), ..Snapshot::default() };
    for object in objects {
        let kind = kind(object["kind"].as_str().unwrap());
        let page = serde_json::to_vec(&json!({"items": [object]})).unwrap();
        snapshot.take(kind, &page).unwrap_or_else(|e| panic!("{}: {e}: {object}", case.case));
    }
    snapshot.words =
        case.words.iter().map(|(k, v)| (k.clone(), serde_json::from_value(v.clone()).unwrap())).collect();
    for (pod, ports) in &case.probed {
        let pod = snapshot.pods.iter().find(|p| p.metadata.name == *pod).unwrap().metadata.uid.clone();
        snapshot.probed.extend(ports.iter().map(|(port, taken)| ((pod.clone(), *port), *taken)));
    }
    snapshot.unread = case.unread.iter().map(|plural| unread(plural)).collect();
    snapshot
}

fn unread(plural: &str) -> Unread {
    let all = Kind::LISTED.into_iter().chain([Kind::NodeProxy, Kind::ClusterDns]);
    let kind = all.into_iter().find(|kind| kind.resource().1 == plural).unwrap();
    Unread { kind, why: Some("forbidden".into()) }
}

fn kind(name: &str) -> Kind {
    match name {
        "ServiceCIDR" => Kind::ServiceCidr,
        name => Kind::LISTED
            .into_iter()
            .find(|kind| format!("{kind:?}") == name)
            .unwrap_or_else(|| panic!("kind {name}")),
    }
}

/// JSON merge patch (RFC 7396).
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}

/// All findings of a case.
pub(crate) fn findings(case: &Case) -> Vec<Finding> {
    let snapshot = snapshot(case);
    check(&View::new(&snapshot), None)
}
