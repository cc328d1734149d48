//! Properties: set algebra, FieldsV1, and that applying twice changes nothing.

use super::set::Set;
use super::{Apply, Writer, apply};
use crate::codec::{FieldValidation, conform};
use crate::kinds;
use proptest::prelude::*;
use serde_json::{Value, json};

/// FieldsV1 of any sort.
fn fields() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(
        &["f:a", "f:b", "f:spec", "v:\"x\"", "v:1", "k:{\"name\":\"a\"}", "k:{\"port\":80}", "i:0", "."][..],
    );
    let leaf = Just(json!({}));
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop::collection::btree_map(key.clone(), inner, 0..4).prop_map(|map| {
            Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        })
    })
}

fn set() -> impl Strategy<Value = Set> {
    fields().prop_map(|fields| Set::from_fields(&fields).unwrap())
}

fn ports() -> impl Strategy<Value = Value> {
    let port =
        (80u16..84, prop::option::of("UDP|TCP"), prop::option::of(8080u16..8082), prop::option::of("a|b"));
    prop::collection::vec(port, 0..4).prop_map(|ports| {
        let mut seen = std::collections::BTreeSet::new();
        let ports =
            ports.into_iter().filter(|(n, p, ..)| seen.insert((*n, p.clone().unwrap_or("TCP".into()))));
        ports
            .map(|(port, protocol, target, name)| {
                let mut value = json!({"port": port});
                for (field, given) in [
                    ("protocol", protocol.map(Value::from)),
                    ("targetPort", target.map(Value::from)),
                    ("name", name.map(Value::from)),
                ] {
                    if let Some(given) = given {
                        value[field] = given;
                    }
                }
                value
            })
            .collect()
    })
}

prop_compose! {
    fn config()(
        labels in prop::option::of(prop::collection::btree_map("[ab]", "[12]", 0..3)),
        finalizers in prop::option::of(prop::collection::btree_set("x.io/[ab]", 0..3)),
        selector in prop::option::of(prop::collection::btree_map("[ab]", "[12]", 0..3)),
        ports in prop::option::of(ports()),
        kind in prop::option::of("ClusterIP|NodePort"),
    ) -> Value {
        let mut config = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {}});
        let (metadata, spec) = (&["labels", "finalizers"], &["selector", "ports", "type"]);
        let given = [labels.map(|v| json!(v)), finalizers.map(|v| json!(v))];
        for (field, value) in metadata.iter().zip(given) {
            if let Some(value) = value { config["metadata"][*field] = value; }
        }
        for (field, value) in spec.iter().zip([selector.map(|v| json!(v)), ports, kind.map(|v| json!(v))]) {
            if let Some(value) = value { config["spec"][*field] = value; }
        }
        config
    }
}

fn applied(live: &Value, config: &Value, manager: &str, now: &str) -> Value {
    let kind = kinds::of("", "Service").unwrap();
    let writer = Writer { manager: manager.to_owned(), subresource: "", kind, version: "v1" };
    let request = Apply { writer, config, force: true, now };
    apply(&request, live, &|object| conform("", "v1", "Service", object, FieldValidation::Ignore).map(drop))
        .unwrap()
}

proptest! {
    #[test]
    fn fields_are_read_as_they_were_written(set in set()) {
        prop_assert_eq!(Set::from_fields(&set.to_fields()).unwrap(), set);
    }

    #[test]
    fn sets_are_sets(a in set(), b in set()) {
        let (mut both, all) = (a.intersection(&b), a.union(&b));
        prop_assert_eq!(&a.union(&b), &b.union(&a));
        prop_assert_eq!(&a.intersection(&b), &b.intersection(&a));
        prop_assert_eq!(&a.difference(&b).union(&both), &a);
        prop_assert_eq!(&all.difference(&b).union(&b), &all);
        prop_assert!(a.difference(&a).is_empty());
        prop_assert!(a.without_below(&b).difference(&a.difference(&b)).is_empty());
        let (x, y) = (a.paths(), b.paths());
        prop_assert_eq!(both.paths().len(), x.iter().filter(|path| y.contains(path)).count());
        prop_assert!(x.iter().all(|path| all.has(path)));
        both.add(&all);
        prop_assert_eq!(both, all);
    }

    #[test]
    fn applying_twice_changes_nothing(first in config(), other in config(), second in config()) {
        let live = applied(&applied(&json!({}), &first, "one", "2026-01-01T00:00:01Z"), &other, "two", "2026-01-01T00:00:02Z");
        let once = applied(&live, &second, "one", "2026-01-01T00:00:03Z");
        let twice = applied(&once, &second, "one", "2026-01-01T00:00:04Z");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_one_alone_applied_goes_with_it(first in config(), second in config()) {
        let bare = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}});
        let second_only = applied(&json!({}), &second, "two", "2026-01-01T00:00:02Z");
        let both = applied(&second_only, &first, "one", "2026-01-01T00:00:02Z");
        let left = applied(&both, &bare, "one", "2026-01-01T00:00:02Z");
        // "one" has forced its values on what both applied: those went with it or stayed two's, but nothing else is left
        for (field, value) in left["metadata"]["labels"].as_object().into_iter().flatten() {
            prop_assert_eq!(value, &second["metadata"]["labels"][field]);
        }
        let name = |list: &Value| list.as_array().into_iter().flatten().map(|p| p["port"].clone()).collect::<Vec<_>>();
        let standing = name(&second["spec"]["ports"]);
        prop_assert!(name(&left["spec"]["ports"]).iter().all(|port| standing.contains(port)));
    }

    #[test]
    fn nothing_that_is_managed_makes_it_panic(fields in fields(), config in config()) {
        let mut live = json!({"metadata": {"name": "web", "uid": "u"}, "spec": {"ports": [{"port": 80}]}});
        live["metadata"]["managedFields"] = json!([{"manager": "one", "operation": "Apply", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields}]);
        applied(&live, &config, "one", "2026-01-01T00:00:00Z");
        applied(&live, &config, "two", "2026-01-01T00:00:00Z");
    }
}
