//! Tables: paths and FieldsV1, comparison, merge, removal, the managers after a write.

use super::check::check;
use super::collect::collect;
use super::compare::compare;
use super::form::Form;
use super::managers::Managers;
use super::merge::{merge, remove};
use super::set::Set;
use super::{Apply, Writer, apply, update};
use crate::kinds;
use crate::status::ApiError;
use serde_json::{Value, json};

const NOW: &str = "2026-11-23T12:00:00Z";
const LATER: &str = "2026-11-23T12:00:09Z";

fn form(group: &str, kind: &str) -> Form {
    Form::of(kinds::of(group, kind).unwrap(), "v1").unwrap()
}

fn paths(set: &Set) -> Vec<String> {
    set.paths().iter().map(|path| path.iter().map(ToString::to_string).collect()).collect()
}

fn writer(manager: &str, group: &str, kind: &str) -> Writer<'static> {
    Writer {
        manager: manager.to_owned(),
        subresource: "",
        kind: kinds::of(group, kind).unwrap(),
        version: "v1",
    }
}

fn service(ports: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}})
}

#[test]
fn fields_are_read_as_they_are_written() {
    for fields in [
        json!({"f:spec": {"f:replicas": {}}}),
        json!({"f:metadata": {"f:labels": {".": {}, "f:a.b/c": {}}, "f:finalizers": {"v:\"x:y\"": {}}}}),
        json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}, "i:3": {}}}}),
    ] {
        assert_eq!(Set::from_fields(&fields).unwrap().to_fields(), fields);
    }
    // what a later version may write is dropped, what is wrong is refused
    assert_eq!(Set::from_fields(&json!({"z:q": {}, "f:a": {}})).unwrap().to_fields(), json!({"f:a": {}}));
    for wrong in [json!(5), json!({"f:a": 5}), json!({"nothing": {}}), json!({"i:x": {}}), json!({"k:[": {}})]
    {
        assert!(Set::from_fields(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_a_configuration_speaks_of() {
    let config = service(&json!([{"port": 80}, {"port": 53, "protocol": "UDP", "name": "dns"}]));
    let mut config = config;
    config["spec"]["selector"] = json!({"app": "web"});
    config["metadata"]["labels"] = json!({"a": "b"});
    config["metadata"]["finalizers"] = json!(["x.io/y"]);
    config["metadata"]["ownerReferences"] = json!([{"uid": "u", "name": "n"}]);
    assert_eq!(
        paths(&collect(&config, form("", "Service").node())),
        [
            ".apiVersion",
            ".kind",
            ".metadata.name",
            ".metadata.finalizers[=\"x.io/y\"]",
            ".metadata.labels.a",
            ".metadata.ownerReferences[uid=\"u\"]",
            // a map of labels is owned key by key, a selector as a whole
            ".spec.selector",
            ".spec.ports[port=53,protocol=\"UDP\"]",
            ".spec.ports[port=80,protocol=\"TCP\"]",
            ".spec.ports[port=53,protocol=\"UDP\"].name",
            ".spec.ports[port=53,protocol=\"UDP\"].port",
            ".spec.ports[port=53,protocol=\"UDP\"].protocol",
            ".spec.ports[port=80,protocol=\"TCP\"].port",
        ]
    );
}

#[test]
fn what_differs() {
    let node = form("", "Service").node();
    let old =
        service(&json!([{"port": 80, "protocol": "TCP", "targetPort": 80}, {"port": 81, "protocol": "TCP"}]));
    let new = service(
        &json!([{"port": 82, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "targetPort": 8080}]),
    );
    let found = compare(Some(&old), Some(&new), node);
    assert_eq!(paths(&found.modified), [".spec.ports[port=80,protocol=\"TCP\"].targetPort"]);
    let port = |n: u16| format!(".spec.ports[port={n},protocol=\"TCP\"]");
    assert_eq!(paths(&found.added), [port(82), port(82) + ".port", port(82) + ".protocol"]);
    assert_eq!(paths(&found.removed), [port(81), port(81) + ".port", port(81) + ".protocol"]);
    assert!(compare(Some(&old), Some(&old), node).is_same());
}

#[test]
fn an_element_that_is_there_twice_is_one() {
    let node = form("", "Pod").node();
    let pod = |env: Value| json!({"spec": {"containers": [{"name": "c", "env": env}]}});
    let (a, b, c) =
        (json!({"name": "A", "value": "1"}), json!({"name": "A", "value": "2"}), json!({"name": "B"}));
    let twice = pod(json!([a, b, c]));
    let env = ".spec.containers[name=\"c\"].env[name=\"A\"]";
    let found = compare(Some(&pod(json!([a, c]))), Some(&twice), node);
    assert_eq!(paths(&found.added), [env]);
    assert_eq!(paths(&found.removed), [env.to_owned(), format!("{env}.name"), format!("{env}.value")]);
    assert!(paths(&collect(&twice, node)).contains(&env.to_owned()));
    assert_eq!(paths(&compare(Some(&twice), Some(&pod(json!([b, a, c]))), node).modified), [env]);
    // an apply makes one of them
    let merged = merge(Some(&twice), Some(&pod(json!([b]))), node).unwrap();
    assert_eq!(merged, pod(json!([b, c])));
}

#[test]
fn elements_come_in_the_applied_order() {
    let node = form("", "Pod").node();
    let pod = |names: &str| {
        let list: Vec<Value> = names.chars().map(|n| json!({"name": n.to_string()})).collect();
        json!({"spec": {"containers": list}})
    };
    for (live, applied, merged) in [
        ("abc", "", "abc"),
        ("", "ab", "ab"),
        ("abc", "b", "abc"),
        ("abc", "ca", "bca"),
        ("ab", "xa", "xab"),
        ("ab", "ax", "abx"),
        ("abcd", "dx", "abcdx"),
    ] {
        let got = merge(Some(&pod(live)), Some(&pod(applied)), node).unwrap_or_default();
        assert_eq!(got, pod(merged), "{live} + {applied}");
    }
}

#[test]
fn paths_are_taken_out() {
    let node = form("", "Service").node();
    let mut object = service(&json!([{"port": 80, "name": "a"}, {"port": 81}]));
    object["spec"]["selector"] = json!({"app": "web"});
    let set = Set::from_fields(&json!({"f:spec": {"f:selector": {},
        "f:ports": {"k:{\"port\":81,\"protocol\":\"TCP\"}": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}}}));
    assert_eq!(remove(&object, &set.unwrap(), node), service(&json!([{"port": 80}])));
}

#[test]
fn what_does_not_fit_is_told() {
    let id = form("", "Service").id;
    for (spec, errors) in [
        (json!({"ports": [{"port": 80}]}), vec![]),
        (json!({"portz": []}), vec![".spec.portz: field not declared in schema"]),
        (
            json!({"ports": [{"port": "80"}]}),
            vec![
                ".spec.ports[port=\"80\",protocol=\"TCP\"].port: expected numeric (int or float), got string",
            ],
        ),
        (
            json!({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}),
            vec![".spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]"],
        ),
        (
            json!({"ports": [5]}),
            vec![".spec.ports: element 0: associative list with keys may not have non-map elements"],
        ),
        (json!({"selector": {"a": 5}}), vec![".spec.selector.a: expected string, got &{5}"]),
        (json!({"ports": 5, "type": null}), vec![".spec.ports: expected list, got &{5}"]),
    ] {
        assert_eq!(check(&json!({"spec": spec}), id), errors, "{spec}");
    }
    let pod = form("", "Pod").id;
    let errors = check(&json!({"spec": {"containers": [{"image": "i"}]}}), pod);
    assert_eq!(
        errors,
        [".spec.containers: element 0: associative list with keys has an element that omits all key \
        fields [\"name\"] (and doesn't have default values for any key fields)"]
    );
}

#[test]
fn a_created_service_is_its_writers() {
    let kind = kinds::of("", "Service").unwrap();
    let mut object = service(&json!([{"port": 80, "protocol": "TCP"}]));
    object["metadata"]["labels"] = json!({"a": "b"});
    object["metadata"]["uid"] = json!("u");
    object["status"] = json!({"loadBalancer": {}});
    let managed = update(&writer("me", "", "Service"), kind, None, &object, &Value::Null, NOW);
    // as kube-apiserver has it: a struct is nobody's, a list and a map are
    assert_eq!(
        managed,
        json!([{"manager": "me", "operation": "Update", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                "f:spec": {"f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}":
                    {".": {}, "f:port": {}, "f:protocol": {}}}}}}])
    );
    object["metadata"]["managedFields"] = managed.clone();
    // nothing changes, nothing is said
    let same = update(&writer("you", "", "Service"), kind, Some(&object), &object, &managed, LATER);
    assert_eq!(same, managed);
    // what is reset stays so
    for reset in [json!([]), json!([{}])] {
        let after = update(&writer("you", "", "Service"), kind, Some(&object), &object, &reset, LATER);
        assert_eq!(after, Value::Null);
    }
}

#[test]
fn a_field_belongs_to_who_changed_it_last() {
    let kind = kinds::of("apps", "Deployment").unwrap();
    let me = writer("me", "apps", "Deployment");
    let mut object =
        json!({"metadata": {"name": "d", "labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 1}});
    object["metadata"]["managedFields"] = update(&me, kind, None, &object, &Value::Null, NOW);
    let mut new = object.clone();
    new["spec"]["replicas"] = json!(2);
    new["metadata"]["labels"] = json!({"a": "1"});
    new["status"] = json!({"replicas": 7});
    let given = super::super::registry::object::take_meta(&mut new, "managedFields");
    let you = Writer { subresource: "scale", ..writer("you", "apps", "Deployment") };
    let entries = update(&you, kind, Some(&object), &new, &given, LATER);
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}),
        "{entries}"
    );
    assert_eq!(entries[1]["subresource"], "scale");
    assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}, "f:status": {"f:replicas": {}}}));
    assert_eq!((&entries[0]["time"], &entries[1]["time"]), (&json!(NOW), &json!(LATER)));
    // a write of the object cannot take the status, which it does not change
    let you = writer("you", "apps", "Deployment");
    let entries = update(&you, kind, Some(&object), &new, &given, LATER);
    assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
}

#[test]
fn old_managers_are_merged() {
    let kind = kinds::of("", "ConfigMap").unwrap();
    let mut object = json!({"metadata": {"name": "c"}, "data": {"k0": "v"}});
    for n in 0..14 {
        let mut new = object.clone();
        new["data"][format!("k{n}")] = json!("v");
        let live = (n > 0).then_some(&object);
        let me = writer(&format!("m{n:02}"), "", "ConfigMap");
        let managed = update(
            &me,
            kind,
            live,
            &new,
            &object["metadata"]["managedFields"],
            &format!("2026-11-23T12:00:{n:02}Z"),
        );
        new["metadata"]["managedFields"] = managed;
        object = new;
    }
    let managers = Managers::parse(&object["metadata"]["managedFields"]).unwrap();
    assert_eq!(managers.0.len(), 10);
    let (ancient, entry) = managers.0.iter().next().unwrap();
    assert_eq!(ancient.manager, "ancient-changes");
    let keys = entry.fields.to_fields()["f:data"].as_object().unwrap().len();
    assert_eq!(keys, 1 + 5, "the dot and five keys");
}

fn applied(live: &Value, config: &Value, manager: &str, force: bool) -> Result<Value, ApiError> {
    let kind = config["kind"].as_str().unwrap();
    let group = config["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group);
    let request = Apply { writer: writer(manager, group, kind), config, force, now: NOW };
    apply(&request, live, &|object| {
        crate::codec::conform(group, "v1", kind, object, crate::codec::FieldValidation::Ignore).map(drop)
    })
}

fn map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

#[test]
fn an_applied_field_goes_when_nobody_applies_it() {
    let one = applied(&json!({}), &map(&json!({"a": "1", "b": "1"})), "one", false).unwrap();
    let two = applied(&one, &map(&json!({"b": "1", "c": "1"})), "two", false).unwrap();
    assert_eq!(two["data"], json!({"a": "1", "b": "1", "c": "1"}));
    let without = applied(&two, &map(&json!({})), "one", false).unwrap();
    assert_eq!(without["data"], json!({"b": "1", "c": "1"}), "b is two's, too");
    let without = applied(&without, &map(&Value::Null), "two", false).unwrap();
    assert_eq!(without["data"], Value::Null);
}

#[test]
fn a_struct_that_lost_its_fields_is_still_there() {
    let config = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec});
    let first = applied(&json!({}), &config(json!({"type": "ClusterIP"})), "one", false).unwrap();
    let empty = config(json!({"ports": []}));
    let once = applied(&first, &empty, "one", false).unwrap();
    assert_eq!(once["spec"], json!({}));
    assert_eq!(applied(&once, &empty, "one", false).unwrap(), once);
}

#[test]
fn what_others_set_is_in_conflict() {
    let one = applied(&json!({}), &map(&json!({"a": "1", "b": "1"})), "one", false).unwrap();
    let error = applied(&one, &map(&json!({"a": "2"})), "two", false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let error = applied(&one, &map(&json!({"a": "2", "b": "2"})), "two", false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b");
    assert_eq!(
        error.details["causes"][1],
        json!({"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.b"})
    );
    let forced = applied(&one, &map(&json!({"a": "2"})), "two", true).unwrap();
    assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
    let error = applied(&forced, &map(&json!({"a": "1", "b": "1"})), "one", false).unwrap_err();
    assert!(error.message.ends_with("conflict with \"two\": .data.a"), "{}", error.message);
}

#[test]
fn what_was_there_before_the_first_apply_has_a_manager() {
    let mut live = map(&json!({"a": "1"}));
    live["metadata"]["uid"] = json!("u");
    let error = applied(&live, &map(&json!({"a": "2"})), "one", false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_as_a_client() {
    let last = map(&json!({"a": "1", "b": "1"}));
    let mut live = last.clone();
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    live["metadata"]["uid"] = json!("u");
    let kind = kinds::of("", "ConfigMap").unwrap();
    let client = writer("kubectl-client-side-apply", "", "ConfigMap");
    live["metadata"]["managedFields"] = update(&client, kind, None, &live, &Value::Null, NOW);
    assert!(applied(&live, &map(&json!({"a": "2"})), "helm", false).is_err());
    let new = applied(&live, &map(&json!({"a": "2"})), "kubectl", false).unwrap();
    assert_eq!(new["data"]["a"], "2");
    let annotation = &new["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(annotation.as_str().unwrap(), format!("{}\n", map(&json!({"a": "2"}))));
    // what somebody else changed since is not what kubectl applied
    live["data"]["b"] = json!("3");
    let error = applied(&live, &map(&json!({"a": "2", "b": "2"})), "kubectl", false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.b"
    );
}

#[test]
fn a_field_of_two_versions_is_one_field() {
    let beta = Writer { version: "v1beta1", ..writer("old", "networking.k8s.io", "ServiceCIDR") };
    let kind = beta.kind;
    let mut object = json!({"metadata": {"name": "c"}, "spec": {"cidrs": ["10.0.0.0/8"]}});
    object["metadata"]["managedFields"] = update(&beta, kind, None, &object, &Value::Null, NOW);
    assert_eq!(object["metadata"]["managedFields"][0]["apiVersion"], "networking.k8s.io/v1beta1");
    let mut new = object.clone();
    new["spec"]["cidrs"] = json!(["10.0.0.0/9"]);
    let now = writer("new", "networking.k8s.io", "ServiceCIDR");
    let managed = update(&now, kind, Some(&object), &new, &Value::Null, LATER);
    assert_eq!(managed.as_array().unwrap().len(), 1, "{managed}");
    assert_eq!(managed[0]["manager"], "new");
}

#[test]
fn a_field_of_two_groups_is_one_field() {
    let core = writer("old", "", "Event");
    let mut object = json!({"metadata": {"name": "e"}, "message": "m", "reason": "R"});
    object["metadata"]["managedFields"] = update(&core, core.kind, None, &object, &Value::Null, NOW);
    let mut changed = object.clone();
    changed["message"] = json!("n");
    let new = writer("new", "events.k8s.io", "Event");
    let managed = update(&new, core.kind, Some(&object), &changed, &Value::Null, LATER);
    assert_eq!(managed[0]["fieldsV1"], json!({"f:reason": {}}));
    assert_eq!(managed[1]["fieldsV1"], json!({"f:note": {}}));
}
