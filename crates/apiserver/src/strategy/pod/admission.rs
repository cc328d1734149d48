//! What admission adds to a new Pod: its service account with a token volume, priority, default tolerations
//! (`plugin/pkg/admission/{serviceaccount,priority,defaulttolerationseconds}`).

use crate::registry::key::object_key;
use crate::registry::object;
use crate::status::ApiError;
use crate::strategy::AllocateContext;
use crate::strategy::access::{at, default, has, items, list, set, text};
use rand::Rng;
use serde_json::{Value, json};

/// Where the token, the CA and the namespace lie in every container.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Lifetime of the projected token, in seconds: an hour and the time until a rotation is noticed.
const TOKEN_SECONDS: i64 = 3607;
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Gives a Pod its service account; it must exist.
pub(super) fn service_account(cx: &AllocateContext<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let (namespace, name) = (object::meta(pod, "namespace").to_owned(), object::meta(pod, "name").to_owned());
    let Some(spec) = pod.get_mut("spec") else { return Ok(()) };
    default(spec, "serviceAccountName", "default");
    super::defaults::alias_service_account(spec);
    let account_name = text(spec, "serviceAccountName").to_owned();
    let entry =
        cx.store.get(&object_key("", "serviceaccounts", &namespace, &account_name)).ok_or_else(|| {
            let missing = format!("serviceaccount \"{account_name}\" not found");
            let why = format!("error looking up service account {namespace}/{account_name}: {missing}");
            ApiError::forbidden("", "pods", &name, &why)
        })?;
    let account = object::decode(&entry)?;
    if list(spec, "imagePullSecrets").is_empty() && !list(&account, "imagePullSecrets").is_empty() {
        set(spec, "imagePullSecrets", at(&account, &["imagePullSecrets"]).clone());
    }
    let automount =
        [&*spec, &account].iter().find_map(|o| at(o, &["automountServiceAccountToken"]).as_bool());
    if automount.unwrap_or(true) {
        mount_token(spec);
    }
    Ok(())
}

fn mount_token(spec: &mut Value) {
    let present = list(spec, "volumes").iter().find(|v| text(v, "name").starts_with("kube-api-access-"));
    let volume = present.map_or_else(volume_name, |v| text(v, "name").to_owned());
    let is_there = present.is_some();
    let mut used = false;
    for containers in ["initContainers", "containers"] {
        for container in items(spec, containers) {
            if list(container, "volumeMounts").iter().any(|m| text(m, "mountPath") == MOUNT_PATH) {
                continue;
            }
            used = true;
            push(
                container,
                "volumeMounts",
                json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}),
            );
        }
    }
    if used && !is_there {
        push(spec, "volumes", token_volume(&volume));
    }
}

fn volume_name() -> String {
    let mut rng = rand::rng();
    let suffix: String = (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    format!("kube-api-access-{suffix}")
}

fn token_volume(name: &str) -> Value {
    let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]}})
}

fn push(value: &mut Value, key: &str, item: Value) {
    if !has(value, key) {
        set(value, key, json!([]));
    }
    if let Some(list) = value.get_mut(key).and_then(Value::as_array_mut) {
        list.push(item);
    }
}

/// A Pod survives its node's absence for 300 s, unless it says otherwise.
pub(super) fn tolerations(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let said = list(spec, "tolerations").iter().any(|t| {
            let (k, effect) = (text(t, "key"), text(t, "effect"));
            (k == key || k.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !said {
            let toleration =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            push(spec, "tolerations", toleration);
        }
    }
}

/// The priority of the named class: of the two built-in ones, 0 without a name.
pub(super) fn priority(spec: &mut Value) {
    let value = match text(spec, "priorityClassName") {
        "" => 0,
        "system-cluster-critical" => 2_000_000_000,
        "system-node-critical" => 2_000_001_000,
        _ => return,
    };
    set(spec, "priority", value);
    default(spec, "preemptionPolicy", "PreemptLowerPriority");
}

/// A class that does not exist is refused.
pub(super) fn check_priority(pod: &Value) -> Result<(), ApiError> {
    let class = text(at(pod, &["spec"]), "priorityClassName");
    if matches!(class, "" | "system-cluster-critical" | "system-node-critical") {
        return Ok(());
    }
    let why = format!("no PriorityClass with name {class} was found");
    Err(ApiError::forbidden("", "pods", object::meta(pod, "name"), &why))
}
