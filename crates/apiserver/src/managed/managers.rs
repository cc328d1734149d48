//! `metadata.managedFields`: who manages which fields, as data.

use super::set::Set;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// More managers of ordinary writes than this are merged, the oldest first.
const UPDATERS_MAX: usize = 10;
/// The manager of fields whose managers were merged.
const ANCIENT: &str = "ancient-changes";
/// `manager` of a request that does not say who it is.
pub(crate) const UNKNOWN: &str = "unknown";

/// How fields were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    /// Server-side apply.
    Apply,
    /// Any other write.
    Update,
}

/// Who manages fields. Two ordinary writes in different versions of the API are two managers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    /// Empty for server-side apply.
    pub(crate) api_version: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

/// What a manager manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
    pub(crate) fields: Set,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managers(pub(crate) BTreeMap<Id, Entry>);

impl Managers {
    /// Reads `metadata.managedFields`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        let mut managers = BTreeMap::new();
        for entry in value.as_array().into_iter().flatten() {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str() {
                Some("Apply") => Operation::Apply,
                Some("Update") => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            if entry["fieldsType"] != "FieldsV1" {
                return Err(format!("invalid fieldsType {}", entry["fieldsType"]));
            }
            let fields = match &entry["fieldsV1"] {
                Value::Null => Set::default(),
                fields => Set::from_fields(fields)?,
            };
            let applied = operation == Operation::Apply;
            let id = Id {
                manager: text("manager"),
                operation,
                api_version: if applied { String::new() } else { api_version.clone() },
                subresource: text("subresource"),
            };
            let time = entry["time"].as_str().map(str::to_owned);
            managers.insert(id, Entry { api_version, time, fields });
        }
        Ok(Self(managers))
    }

    /// As `metadata.managedFields`; null if there are none.
    pub(crate) fn to_value(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let mut entries: Vec<(&Id, &Entry)> = self.0.iter().collect();
        entries.sort_by_key(|(id, entry)| {
            (id.operation, &entry.time, &id.manager, &entry.api_version, &id.subresource)
        });
        entries.into_iter().map(|(id, entry)| entry_value(id, entry)).collect()
    }

    /// Merges the oldest managers of ordinary writes where there are too many.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<(Option<String>, Id)> = self
            .0
            .iter()
            .filter(|(id, _)| id.operation == Operation::Update)
            .map(|(id, entry)| (entry.time.clone(), id.clone()))
            .collect();
        updaters.sort();
        let mut excess = updaters.len().saturating_sub(UPDATERS_MAX);
        let mut first_of: BTreeMap<String, Id> = BTreeMap::new();
        for (time, id) in updaters {
            if excess == 0 {
                break;
            }
            let Some(version) = self.0.get(&id).map(|e| e.api_version.clone()) else { continue };
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, id);
                continue;
            };
            let bucket = Id {
                manager: ANCIENT.to_owned(),
                operation: Operation::Update,
                api_version: version,
                subresource: String::new(),
            };
            if !self.0.contains_key(&bucket)
                && let Some(entry) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), entry);
            }
            let merged = self.0.remove(&id);
            if let (Some(entry), Some(bucket)) = (merged, self.0.get_mut(&bucket)) {
                bucket.fields.add(&entry.fields);
                bucket.time = time;
            }
            excess -= 1;
        }
    }
}

fn entry_value(id: &Id, entry: &Entry) -> Value {
    let operation = if id.operation == Operation::Apply { "Apply" } else { "Update" };
    let mut value = json!({"manager": id.manager, "operation": operation, "apiVersion": entry.api_version,
        "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_fields()});
    for (field, text) in [("time", entry.time.as_deref()), ("subresource", Some(id.subresource.as_str()))] {
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            value[field] = json!(text);
        }
    }
    value
}
