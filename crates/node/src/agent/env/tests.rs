//! Tables for a container's environment.

use super::*;
use serde_json::{Value, json};

fn run(container: Value, services: &[(&str, &str)]) -> Result<String, String> {
    let container: Container = serde_json::from_value(container).unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"},
                     "annotations": {"note": "hi"}},
        "spec": {"nodeName": "node-1", "serviceAccountName": "default", "containers": []},
    }))
    .unwrap();
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let sources = Sources {
        config_maps: [("cm".to_owned(), map(&[("COLOUR", "red"), ("SIZE", "xl")]))].into(),
        secrets: [("sec".to_owned(), map(&[("password", "pw")]))].into(),
    };
    let addresses = Addresses {
        pod: vec!["10.244.0.5".parse().unwrap()],
        node: vec!["10.123.0.2".parse().unwrap()],
        node_name: "node-1".into(),
    };
    let allocatable =
        Allocatable { cpu_millicores: 2000, memory_bytes: 8 << 30, ephemeral_storage_bytes: 1 << 30 };
    let inputs = Inputs {
        pod: &pod,
        addresses: &addresses,
        allocatable: &allocatable,
        services: map(services),
        sources: &sources,
    };
    let env = environment(&container, &inputs)?;
    Ok(env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn values_and_expansion() {
    for (env, wanted) in [
        (json!([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}]), "A=1 B=12 S_HOST=ip"),
        (json!([{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]), "A=1 B=$(A) S_HOST=ip"),
        (json!([{"name": "A", "value": "$(S_HOST):1"}]), "A=ip:1 S_HOST=ip"),
        (json!([{"name": "S_HOST", "value": "mine"}]), "S_HOST=mine"),
        (json!([{"name": "A"}]), "A= S_HOST=ip"),
    ] {
        let got = run(json!({"name": "c", "env": env}), &[("S_HOST", "ip")]);
        assert_eq!(got.as_deref(), Ok(wanted));
    }
}

#[test]
fn sources() {
    let from = |source: Value| {
        json!({"name": "c", "env": [{"name": "X", "valueFrom": source}],
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}})
    };
    for (source, wanted) in [
        (json!({"fieldRef": {"fieldPath": "metadata.name"}}), "X=web-1"),
        (json!({"fieldRef": {"fieldPath": "metadata.labels['app']"}}), "X=web"),
        (json!({"fieldRef": {"fieldPath": "status.podIP"}}), "X=10.244.0.5"),
        (json!({"fieldRef": {"fieldPath": "status.hostIP"}}), "X=10.123.0.2"),
        (json!({"fieldRef": {"fieldPath": "spec.nodeName"}}), "X=node-1"),
        (json!({"configMapKeyRef": {"name": "cm", "key": "COLOUR"}}), "X=red"),
        (json!({"secretKeyRef": {"name": "sec", "key": "password"}}), "X=pw"),
        (json!({"secretKeyRef": {"name": "none", "key": "password", "optional": true}}), ""),
        (json!({"configMapKeyRef": {"name": "cm", "key": "no", "optional": true}}), ""),
        (json!({"resourceFieldRef": {"resource": "limits.cpu"}}), "X=1"),
        (json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}), "X=500"),
        (json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}), "X=64"),
        (json!({"resourceFieldRef": {"resource": "requests.memory"}}), "X=0"),
    ] {
        assert_eq!(run(from(source.clone()), &[]).as_deref(), Ok(wanted), "{source}");
    }
    let none = json!({"name": "c", "env": [{"name": "X",
        "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]});
    assert_eq!(run(none, &[]).as_deref(), Ok("X=2"), "a limit that is not set is the node's");
}

#[test]
fn what_is_missing_is_named() {
    for (container, wanted) in [
        (json!({"envFrom": [{"configMapRef": {"name": "no"}}]}), "configmap \"no\" not found"),
        (json!({"envFrom": [{"secretRef": {"name": "no"}}]}), "secret \"no\" not found"),
        (
            json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "no"}}}]}),
            "couldn't find key no in Secret shop/sec",
        ),
        (
            json!({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "no"}}}]}),
            "couldn't find key no in ConfigMap shop/cm",
        ),
    ] {
        let mut container = container;
        container["name"] = json!("c");
        assert_eq!(run(container, &[]), Err(wanted.to_owned()));
    }
}

#[test]
fn env_from_with_prefix_is_overridden_by_env() {
    let container = json!({"name": "c",
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "sec", "optional": true}}],
        "env": [{"name": "P_SIZE", "value": "$(P_COLOUR)"}]});
    assert_eq!(run(container, &[]).as_deref(), Ok("P_COLOUR=red P_SIZE=red password=pw"));
}

#[test]
fn references_are_collected_once() {
    let container: Container = serde_json::from_value(json!({"name": "c",
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "s"}}],
        "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}}]}))
    .unwrap();
    let (config_maps, secrets) = references(&container);
    assert_eq!((config_maps.len(), secrets.len()), (1, 1));
}
