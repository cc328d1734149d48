//! What `kubectl get` shows, kind by kind.

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// The cells of an object that is ten minutes old.
fn cells(group: &str, kind: &str, mut object: Value) -> Value {
    object["kind"] = json!(kind);
    object["metadata"]["name"] = json!("x");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let table = render(group, kind, &[object], &TableOptions::default(), json!({}), now());
    let cells = &table["rows"][0]["cells"];
    assert_eq!(cells.as_array().unwrap().len(), table["columnDefinitions"].as_array().unwrap().len());
    cells.clone()
}

#[test]
fn services() {
    for (spec, status, wanted) in [
        (
            json!({"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}], "selector": {"b": "2", "a": "1"}}),
            json!({}),
            json!(["x", "NodePort", "10.96.0.9", "<none>", "80:30080/TCP", "10m", "a=1,b=2"]),
        ),
        (
            json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9", "fd00::9"], "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}),
            json!({}),
            json!(["x", "LoadBalancer", "10.96.0.9", "<pending>", "80/TCP,53/UDP", "10m", "<none>"]),
        ),
        (
            json!({"type": "LoadBalancer", "clusterIP": "None", "externalIPs": ["9.9.9.9"]}),
            json!({"loadBalancer": {"ingress": [{"ip": "8.8.8.8"}, {"hostname": "lb"}]}}),
            json!(["x", "LoadBalancer", "None", "8.8.8.8,lb,9.9.9.9", "<none>", "10m", "<none>"]),
        ),
        (
            json!({"type": "ExternalName", "externalName": "a.b"}),
            json!({}),
            json!(["x", "ExternalName", "<none>", "a.b", "<none>", "10m", "<none>"]),
        ),
    ] {
        assert_eq!(cells("", "Service", json!({"spec": spec, "status": status})), wanted);
    }
}

#[test]
fn endpoints_and_slices() {
    let addresses: Vec<Value> = (1..=10).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
    let ten = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(
        cells("", "Endpoints", ten),
        json!(["x", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 7 more...", "10m"])
    );
    let six = json!({"subsets": [{"addresses": [{"ip": "fd::1"}], "ports": [{"port": 80}]}]});
    assert_eq!(cells("", "Endpoints", six)[1], "[fd::1]:80");
    assert_eq!(cells("", "Endpoints", json!({}))[1], "<none>");
    assert_eq!(
        cells("", "Endpoints", json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}]}]}))[1],
        "1.1.1.1"
    );
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "", "port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]});
    assert_eq!(
        cells("discovery.k8s.io", "EndpointSlice", slice),
        json!(["x", "IPv4", "80", "10.0.0.1", "10m"])
    );
    let empty = json!({"addressType": "IPv4", "endpoints": null});
    assert_eq!(
        cells("discovery.k8s.io", "EndpointSlice", empty),
        json!(["x", "IPv4", "<unset>", "<unset>", "10m"])
    );
}

/// READY, STATUS, RESTARTS of a Pod with one container.
fn pod(spec: Value, status: Value) -> Value {
    let mut object = json!({"spec": spec, "status": status});
    object["spec"]["containers"] = json!([{"name": "c"}]);
    let cells = cells("", "Pod", object);
    json!([cells[1], cells[2], cells[3]])
}

#[test]
fn pods() {
    let waiting = |reason: &str| json!([{"name": "c", "state": {"waiting": {"reason": reason}}}]);
    for (status, wanted) in [
        (json!({"phase": "Pending"}), json!(["0/1", "Pending", "0"])),
        (
            json!({"phase": "Pending", "containerStatuses": waiting("ContainerCreating")}),
            json!(["0/1", "ContainerCreating", "0"]),
        ),
        (
            json!({"phase": "Running", "containerStatuses": [{"ready": true, "state": {"running": {}}}]}),
            json!(["1/1", "Running", "0"]),
        ),
        (
            json!({"phase": "Running", "containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:09:55Z"}}}]}),
            json!(["0/1", "CrashLoopBackOff", "3 (5s ago)"]),
        ),
        (
            json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}),
            json!(["0/1", "Completed", "0"]),
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 7}}}]}),
            json!(["0/1", "ExitCode:7", "0"]),
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"signal": 9}}}]}),
            json!(["0/1", "Signal:9", "0"]),
        ),
        (json!({"phase": "Failed", "reason": "Evicted"}), json!(["0/1", "Evicted", "0"])),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            json!(["0/1", "SchedulingGated", "0"]),
        ),
    ] {
        assert_eq!(pod(json!({}), status), wanted);
    }
    let terminating = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:09:59Z"}, "spec": {"containers": [{}]}, "status": {"phase": "Running"}});
    assert_eq!(cells("", "Pod", terminating)[2], "Terminating");
    let wide = json!({"spec": {"nodeName": "n", "readinessGates": [{"conditionType": "g"}]}, "status": {"podIP": "10.1.1.1", "conditions": [{"type": "g", "status": "True"}]}});
    assert_eq!(
        cells("", "Pod", wide).as_array().unwrap()[5..],
        json!(["10.1.1.1", "n", "<none>", "1/1"]).as_array().unwrap()[..]
    );
}

#[test]
fn pods_with_init_containers() {
    let spec = json!({"initContainers": [{"name": "a"}, {"name": "s", "restartPolicy": "Always"}]});
    let done = json!({"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let sidecar =
        json!({"name": "s", "started": true, "ready": true, "restartCount": 2, "state": {"running": {}}});
    for (init, wanted) in [
        (
            json!([{"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}]),
            json!(["0/2", "Init:0/2", "0"]),
        ),
        (
            json!([{"name": "a", "restartCount": 1, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]),
            json!(["0/2", "Init:Error", "1"]),
        ),
        (
            json!([{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
            json!(["0/2", "Init:CrashLoopBackOff", "0"]),
        ),
        (
            json!([done, {"name": "s", "started": false, "state": {"running": {}}}]),
            json!(["0/2", "Init:1/2", "0"]),
        ),
    ] {
        assert_eq!(pod(spec.clone(), json!({"phase": "Pending", "initContainerStatuses": init})), wanted);
    }
    let running = json!({"phase": "Running", "initContainerStatuses": [done, sidecar], "containerStatuses": [{"ready": true, "state": {"running": {}}}]});
    assert_eq!(pod(spec, running), json!(["2/2", "Running", "2"]));
}

#[test]
fn nodes_deployments_events_and_the_rest() {
    let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}, "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.33.0"},
        "addresses": [{"type": "InternalIP", "address": "10.123.0.2"}]}});
    let shown = json!([
        "x",
        "Ready,SchedulingDisabled",
        "control-plane",
        "10m",
        "v1.33.0",
        "10.123.0.2",
        "<none>",
        "<unknown>",
        "<unknown>",
        "<unknown>"
    ]);
    assert_eq!(cells("", "Node", node), shown);
    let deployment = json!({"spec": {"replicas": 10, "selector": {"matchLabels": {"app": "w"}, "matchExpressions": [{"key": "t", "operator": "In", "values": ["b", "a"]}]},
        "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "j"}]}}}, "status": {"readyReplicas": 9, "updatedReplicas": 8, "availableReplicas": 7}});
    assert_eq!(
        cells("apps", "Deployment", deployment.clone()),
        json!(["x", "9/10", 8, 7, "10m", "c,d", "i:1,j", "app=w,t in (a,b)"])
    );
    assert_eq!(
        cells("apps", "ReplicaSet", deployment),
        json!(["x", 10, 0, 9, "10m", "c,d", "i:1,j", "app=w,t in (a,b)"])
    );
    let event = json!({"type": "Normal", "reason": "Pulled", "message": " hi ", "involvedObject": {"kind": "Pod", "name": "p"},
        "source": {"component": "kubelet", "host": "n"}, "firstTimestamp": "2026-01-01T00:08:00Z", "lastTimestamp": "2026-01-01T00:09:30Z", "count": 4});
    assert_eq!(
        cells("", "Event", event),
        json!(["30s", "Normal", "Pulled", "pod/p", "", "kubelet, n", "hi", "2m", 4, "x"])
    );
    let event = json!({"type": "Normal", "reason": "R", "note": "n", "regarding": {"kind": "Node", "name": "n"}, "reportingController": "c", "eventTime": "2026-01-01T00:09:59.000000Z"});
    assert_eq!(
        cells("events.k8s.io", "Event", event),
        json!(["1s", "Normal", "R", "node/n", "", "c", "n", "1s", 1, "x"])
    );
    assert_eq!(
        cells("", "ConfigMap", json!({"data": {"a": "b"}, "binaryData": {"c": ""}})),
        json!(["x", 2, "10m"])
    );
    assert_eq!(cells("", "Secret", json!({"type": "Opaque"})), json!(["x", "Opaque", 0, "10m"]));
    assert_eq!(cells("", "ServiceAccount", json!({})), json!(["x", 0, "10m"]));
    assert_eq!(cells("", "Namespace", json!({"status": {"phase": "Active"}})), json!(["x", "Active", "10m"]));
    assert_eq!(
        cells("coordination.k8s.io", "Lease", json!({"spec": {"holderIdentity": "h"}})),
        json!(["x", "h", "10m"])
    );
    assert_eq!(
        cells("networking.k8s.io", "ServiceCIDR", json!({"spec": {"cidrs": ["10.96.0.0/16", "fd::/108"]}})),
        json!(["x", "10.96.0.0/16,fd::/108", "10m"])
    );
    let address =
        json!({"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}});
    assert_eq!(cells("networking.k8s.io", "IPAddress", address), json!(["x", "services/default/web", "10m"]));
    let binding = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "d", "namespace": "n"}]});
    assert_eq!(
        cells("rbac.authorization.k8s.io", "RoleBinding", binding),
        json!(["x", "Role/r", "10m", "u", "", "n/d"])
    );
    assert_eq!(cells("rbac.authorization.k8s.io", "Role", json!({})), json!(["x", "2026-01-01T00:00:00Z"]));
}

#[test]
fn rows_carry_what_is_asked_for() {
    let object = json!({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}});
    for (asked, wanted) in [
        ("None", Value::Null),
        (
            "Metadata",
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}),
        ),
        ("Object", object.clone()),
    ] {
        let options = TableOptions { include_object: asked.parse().unwrap(), no_headers: true };
        let table = render(
            "",
            "ConfigMap",
            std::slice::from_ref(&object),
            &options,
            json!({"resourceVersion": "5"}),
            now(),
        );
        assert_eq!(table["rows"][0]["object"], wanted);
        assert_eq!(
            (&table["columnDefinitions"], &table["metadata"]),
            (&Value::Null, &json!({"resourceVersion": "5"}))
        );
    }
}
