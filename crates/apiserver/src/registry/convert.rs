//! Between the stored version of an object and the version a caller speaks.
//!
//! Versions of networking.k8s.io differ in name only. An events.k8s.io/v1 Event is stored as a core Event, with the
//! fields called as there (`pkg/apis/events/v1/conversion.go`).

use crate::kinds::Kind;
use serde_json::{Value, json};

/// Core name, events.k8s.io name.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// A stored object as `version` of `kind` has it.
pub(crate) fn to_version(kind: &Kind, version: &str, object: &mut Value) {
    if kind.group != kind.storage_group {
        rename(object, EVENT_FIELDS.iter().copied());
    }
    object["apiVersion"] = json!(kind.api_version(version));
}

/// An object of `kind` as it is stored.
pub(crate) fn to_stored(kind: &Kind, object: &mut Value) {
    if kind.group != kind.storage_group {
        rename(object, EVENT_FIELDS.iter().map(|(core, new)| (*new, *core)));
    }
    object["apiVersion"] = json!(kind.stored_api_version());
    object["kind"] = json!(kind.kind);
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(fields) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_round_trip() {
        let kind = crate::kinds::of("events.k8s.io", "Event").unwrap();
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"kind": "Pod"},
            "note": "n", "deprecatedCount": 2, "type": "Normal", "reportingController": "c"});
        let mut object = event.clone();
        to_stored(kind, &mut object);
        assert_eq!(object["apiVersion"], "v1");
        assert_eq!(object["involvedObject"]["kind"], "Pod");
        assert_eq!(object["message"], "n");
        to_version(kind, "v1", &mut object);
        assert_eq!(object, event);
    }
}
