//! The kinds other than Service: what is filled in, what is refused, what counts as a generation.

use super::*;
use crate::registry::key::object_key;
use sealane_storage::{MemoryStore, Op};
use serde_json::json;

fn made(group: &str, kind: &str, mut object: Value) -> (Value, Vec<String>) {
    let strategy = for_kind(group, kind);
    strategy.default(&mut object);
    strategy.prepare_create(&mut object);
    let wrong = texts(&strategy.validate(&object));
    (object, wrong)
}

fn changed(group: &str, kind: &str, old: &Value, edit: impl FnOnce(&mut Value)) -> (Value, Vec<String>) {
    let strategy = for_kind(group, kind);
    let mut new = old.clone();
    edit(&mut new);
    strategy.default(&mut new);
    strategy.prepare_update(&mut new, old, Part::Main);
    let wrong = texts(&strategy.validate_update(&new, old, Part::Main));
    (new, wrong)
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|e| format!("{}: {}", e.field, e.body())).collect()
}

fn pod(container: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [container]}})
}

fn deployment() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "localhost/hello:4.1", "resources": null}]}}}})
}

#[test]
fn a_pod_is_stored_as_kubernetes_stores_it() {
    let (object, wrong) = made(
        "",
        "Pod",
        pod(json!({"name": "c", "image": "localhost/hello:latest",
        "ports": [{"containerPort": 8080}], "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1}})),
    );
    assert_eq!(wrong, Vec::<String>::new());
    let seconds = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    assert_eq!(
        object["spec"],
        json!({
            "containers": [{
                "name": "c", "image": "localhost/hello:latest", "imagePullPolicy": "Always", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"port": 8080, "path": "/", "scheme": "HTTP"}, "periodSeconds": 1,
                    "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler", "enableServiceLinks": true,
            "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
            "tolerations": [seconds("node.kubernetes.io/not-ready"), seconds("node.kubernetes.io/unreachable")],
        })
    );
    assert_eq!(object["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(object["metadata"]["generation"], 1);
}

#[test]
fn requests_follow_limits_and_make_the_qos_class() {
    for (resources, class) in [
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable"),
        (json!({"requests": {"memory": "1Mi"}}), "Burstable"),
        (json!({}), "BestEffort"),
    ] {
        let (object, _) = made("", "Pod", pod(json!({"name": "c", "image": "x", "resources": resources})));
        assert_eq!(object["status"]["qosClass"], class, "{resources}");
    }
}

#[test]
fn what_is_wrong_with_a_pod() {
    let container = json!({"name": "C", "ports": [{"containerPort": 70000}], "volumeMounts": [{"name": "v"}],
        "livenessProbe": {}, "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}});
    let (_, wrong) = made("", "Pod", pod(container));
    let fields: Vec<&str> = wrong.iter().filter_map(|w| w.split(": ").next()).collect();
    assert_eq!(
        fields,
        [
            "spec.containers[0].name",
            "spec.containers[0].image",
            "spec.containers[0].ports[0].containerPort",
            "spec.containers[0].volumeMounts[0].name",
            "spec.containers[0].volumeMounts[0].mountPath",
            "spec.containers[0].livenessProbe",
            "spec.containers[0].resources.requests",
        ]
        .map(|f| f)
    );
    assert_eq!(
        wrong[6],
        "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
    );
    assert_eq!(made("", "Pod", json!({"spec": {}})).1, ["spec.containers: Required value"]);
}

#[test]
fn of_a_running_pod_only_the_image_changes() {
    let (old, _) = made("", "Pod", pod(json!({"name": "c", "image": "x:1"})));
    let (new, wrong) = changed("", "Pod", &old, |p| p["spec"]["containers"][0]["image"] = json!("x:2"));
    assert_eq!((wrong, &new["metadata"]["generation"]), (vec![], &json!(2)));
    let (_, wrong) = changed("", "Pod", &old, |p| p["metadata"]["labels"] = json!({"a": "b"}));
    assert_eq!(wrong, Vec::<String>::new());
    let (_, wrong) = changed("", "Pod", &old, |p| p["spec"]["containers"][0]["args"] = json!(["x"]));
    assert!(
        wrong[0].starts_with(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        ),
        "{wrong:?}"
    );
    let more = json!({"name": "d", "image": "x"});
    let (_, wrong) = changed("", "Pod", &old, |p| p["spec"]["containers"].as_array_mut().unwrap().push(more));
    assert_eq!(wrong, ["spec.containers: Forbidden: pod updates may not add or remove containers"]);
}

fn context<'a>(store: &'a MemoryStore, config: &'a crate::Config) -> AllocateContext<'a> {
    AllocateContext { store, config, attempt: 0, dry_run: false }
}

fn config() -> crate::Config {
    crate::Config {
        service_cidrs: Vec::new(),
        node_ports: 30000..=32767,
        advertise: "10.123.0.1:6443".parse().unwrap(),
        cluster_domain: "cluster.local".into(),
        issuer: String::new(),
        token_key_pkcs8: Vec::new(),
        ca_pem: String::new(),
        kubernetes_version: String::new(),
    }
}

/// The token volume as the ServiceAccount admission of Kubernetes mounts it.
#[tokio::test]
async fn a_pod_gets_the_token_of_its_account() {
    let (store, config) = (MemoryStore::new(), config());
    let (mut object, _) = made("", "Pod", pod(json!({"name": "c", "image": "x"})));
    let error =
        for_kind("", "Pod").allocate(&context(&store, &config), &mut object.clone(), None).unwrap_err();
    assert_eq!(
        error.message,
        "pods \"p\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not \
         found"
    );
    let key = object_key("", "serviceaccounts", "default", "default");
    let account =
        |automount: bool| json!({"metadata": {"name": "default"}, "automountServiceAccountToken": automount});
    store.txn(vec![], vec![Op::Put(key.clone(), account(false).to_string().into())]).await.unwrap();
    let mut without = object.clone();
    for_kind("", "Pod").allocate(&context(&store, &config), &mut without, None).unwrap();
    assert!(without["spec"]["volumes"].is_null());
    store.txn(vec![], vec![Op::Put(key, account(true).to_string().into())]).await.unwrap();
    for_kind("", "Pod").allocate(&context(&store, &config), &mut object, None).unwrap();
    let spec = &object["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    let name = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([{"name": name, "readOnly": true, "mountPath": path}])
    );
    let sources = &spec["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[0], json!({"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}));
    assert_eq!(for_kind("", "Pod").validate(&object), []);
}

#[test]
fn a_deployment_and_its_generation() {
    let (old, wrong) = made("apps", "Deployment", deployment());
    assert_eq!(wrong, Vec::<String>::new());
    let spec = &old["spec"];
    assert_eq!(
        (&spec["replicas"], &spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]),
        (&json!(1), &json!(10), &json!(600))
    );
    let rolling =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}});
    assert_eq!(spec["strategy"], rolling);
    assert_eq!(spec["template"]["metadata"], json!({"labels": {"app": "web"}}));
    assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert!(spec["template"]["spec"]["enableServiceLinks"].is_null());
    let generation = |edit: &dyn Fn(&mut Value)| {
        changed("apps", "Deployment", &old, edit).0["metadata"]["generation"].clone()
    };
    assert_eq!(generation(&|_| {}), 1);
    assert_eq!(generation(&|d| d["metadata"]["labels"] = json!({"a": "b"})), 1);
    assert_eq!(generation(&|d| d["spec"]["replicas"] = json!(3)), 2);
}

#[test]
fn what_is_wrong_with_a_deployment() {
    let mut bad = deployment();
    bad["spec"]["template"]["metadata"]["labels"] = json!({"app": "x"});
    bad["spec"]["replicas"] = json!(-1);
    bad["spec"]["strategy"] = json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}});
    assert_eq!(
        made("apps", "Deployment", bad).1,
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ]
    );
    let (old, _) = made("apps", "Deployment", deployment());
    let (_, wrong) = changed("apps", "Deployment", &old, |d| {
        d["spec"]["selector"] = json!({"matchLabels": {"app": "y"}});
        d["spec"]["template"]["metadata"]["labels"] = json!({"app": "y"});
    });
    assert_eq!(
        wrong,
        ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"y\"}}: field is immutable"]
    );
}

#[test]
fn namespaces() {
    let (namespace, _) = made("", "Namespace", json!({"metadata": {"name": "a"}}));
    assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(namespace["status"], json!({"phase": "Active"}));
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "a"}));
    let (after, _) = changed("", "Namespace", &namespace, |n| n["spec"] = json!({"finalizers": []}));
    assert_eq!(after["spec"], namespace["spec"]);
}

#[test]
fn secrets_and_config_maps() {
    let (secret, wrong) = made("", "Secret", json!({"stringData": {"a": "hello"}, "data": {"b": "aGk="}}));
    assert_eq!(
        (&secret["type"], &secret["data"]),
        (&json!("Opaque"), &json!({"a": "aGVsbG8=", "b": "aGk="}))
    );
    assert!(wrong.is_empty() && secret["stringData"].is_null());
    let tls = json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "aGk="}});
    assert_eq!(made("", "Secret", tls).1, ["data[tls.key]: Required value"]);
    let (_, wrong) = changed("", "Secret", &secret, |s| s["type"] = json!("x"));
    assert_eq!(wrong, ["type: Invalid value: \"x\": field is immutable"]);
    assert_eq!(made("", "ConfigMap", json!({"data": {"a": null}})).0["data"], json!({"a": ""}));
    let (map, wrong) = made("", "ConfigMap", json!({"immutable": true, "data": {"a b": "x", "c": "y"}}));
    assert!(wrong[0].starts_with("data[a b]: Invalid value: \"a b\": a valid config key must consist of"));
    let (_, wrong) = changed("", "ConfigMap", &map, |m| m["data"] = json!({"c": "z"}));
    assert_eq!(wrong, ["data: Forbidden: field is immutable when `immutable` is set"]);
    let big = json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}});
    assert_eq!(made("", "ConfigMap", big).1, [": Too long: may not be more than 1048576 bytes"]);
}

#[test]
fn endpoint_slices() {
    let slice =
        json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.244.0.2"]}]});
    let (old, wrong) = made("discovery.k8s.io", "EndpointSlice", slice);
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(old["ports"], json!([{"name": "", "port": 80, "protocol": "TCP"}]));
    let kind = |s: &mut Value| s["addressType"] = json!("IPv6");
    assert_eq!(
        changed("discovery.k8s.io", "EndpointSlice", &old, kind).1,
        [
            "endpoints[0].addresses[0]: Invalid value: \"10.244.0.2\": must be a valid IPv6 address",
            "addressType: Invalid value: \"IPv6\": field is immutable",
        ]
    );
    let many: Vec<Value> = (0..1001).map(|_| json!({"addresses": ["10.0.0.1"]})).collect();
    let many = json!({"addressType": "IPv4", "endpoints": many});
    assert_eq!(
        made("discovery.k8s.io", "EndpointSlice", many).1,
        ["endpoints: Too many: 1001: must have at most 1000 items"]
    );
    let mut empty = json!({"addressType": "IPv4", "endpoints": null});
    for_kind("discovery.k8s.io", "EndpointSlice").on_read(&mut empty);
    assert_eq!(empty["endpoints"], json!([]));
}

#[test]
fn bindings_and_roles() {
    let group = "rbac.authorization.k8s.io";
    let binding = json!({"metadata": {"name": "b", "namespace": "default"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "s", "namespace": "default"}, {"kind": "User", "name": "u"}]});
    let (old, wrong) = made(group, "RoleBinding", binding);
    assert_eq!((wrong, &old["subjects"][1]["apiGroup"]), (vec![], &json!(group)));
    let (_, wrong) = changed(group, "RoleBinding", &old, |b| b["roleRef"]["name"] = json!("x"));
    assert!(
        wrong[0].starts_with("roleRef: Invalid value: {") && wrong[0].ends_with("}: cannot change roleRef"),
        "{wrong:?}"
    );
    let role = json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
    assert_eq!(
        made(group, "Role", role).1,
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[1].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
        ]
    );
}

#[test]
fn addresses() {
    let group = "networking.k8s.io";
    for (cidrs, error) in [
        (json!(["10.0.0.0/16", "fd00::/112"]), ""),
        (json!([]), "spec.cidrs: Required value: at least one CIDR required"),
        (
            json!(["10.0.0.1/16"]),
            "spec.cidrs[0]: Invalid value: \"10.0.0.1/16\": must be in canonical form (\"10.0.0.0/16\")",
        ),
        (
            json!(["x"]),
            "spec.cidrs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
    ] {
        let wrong = made(group, "ServiceCIDR", json!({"spec": {"cidrs": cidrs}})).1;
        assert_eq!(wrong.first().map_or("", String::as_str), error, "{cidrs}");
    }
}

/// No strategy panics on what is not shaped as it should be.
#[test]
fn nonsense_does_not_panic() {
    let kinds = [
        ("", "Service"),
        ("", "Pod"),
        ("", "Namespace"),
        ("", "Node"),
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "Endpoints"),
        ("", "Event"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("coordination.k8s.io", "Lease"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("networking.k8s.io", "IPAddress"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("", "Other"),
    ];
    let odd = [json!(null), json!(1), json!("x"), json!([1, null, {}]), json!({"a": [1]})];
    let fields = [
        "metadata",
        "spec",
        "status",
        "data",
        "stringData",
        "subsets",
        "ports",
        "endpoints",
        "rules",
        "subjects",
        "roleRef",
        "aggregationRule",
        "type",
        "involvedObject",
    ];
    for (group, kind) in kinds {
        for value in &odd {
            let whole = [value.clone()].into_iter();
            let one = fields.iter().map(|field| json!({*field: value}));
            let deep = [
                "containers",
                "volumes",
                "template",
                "selector",
                "finalizers",
                "taints",
                "cidrs",
                "strategy",
            ];
            let deep = deep.iter().map(|field| json!({"spec": {*field: value}}));
            let listed = fields.iter().map(|field| json!({*field: [value]}));
            for object in whole.chain(one).chain(deep).chain(listed) {
                let (new, _) = made(group, kind, object.clone());
                changed(group, kind, &new, |_| {});
                changed(group, kind, &object, |_| {});
                for_kind(group, kind).on_read(&mut object.clone());
            }
        }
    }
}
