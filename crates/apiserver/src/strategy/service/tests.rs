//! Services as users write them: defaults, inference and every refusal in its words.

use super::Service;
use crate::status::{ApiError, FieldError};
use crate::strategy::{Part, Strategy};
use serde_json::{Value, json};

fn created(spec: Value) -> Value {
    let mut service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    Service.default(&mut service);
    Service.prepare_create(&mut service);
    service
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|e| format!("{}: {}", e.field, e.body())).collect()
}

fn wrong(spec: Value) -> Vec<String> {
    texts(&Service.validate(&created(spec)))
}

/// What an update makes of a spec, and what is wrong with it.
fn updated(old: &Value, spec: Value) -> (Value, Vec<String>) {
    let mut new = json!({"metadata": old["metadata"], "spec": spec, "status": old["status"]});
    Service.default(&mut new);
    Service.prepare_update(&mut new, old, Part::Main);
    let wrong = texts(&Service.validate_update(&new, old, Part::Main));
    (new, wrong)
}

fn stored(kind: &str) -> Value {
    let mut service = created(json!({"type": kind, "externalName": "example.org", "ports": [{"port": 80}]}));
    let spec = &mut service["spec"];
    if kind != "ExternalName" {
        spec["clusterIP"] = json!("10.96.9.9");
        spec["clusterIPs"] = json!(["10.96.9.9"]);
        spec["ipFamilies"] = json!(["IPv4"]);
        spec["ipFamilyPolicy"] = json!("SingleStack");
    }
    if matches!(kind, "NodePort" | "LoadBalancer") {
        spec["ports"][0]["nodePort"] = json!(30123);
    }
    service
}

#[test]
fn defaults() {
    let cluster_ip = json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]});
    for (sent, stored) in [
        (json!({"ports": [{"port": 80}]}), cluster_ip.clone()),
        (
            json!({"type": "", "clusterIP": null, "clusterIPs": [], "selector": {}, "sessionAffinity": "",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 9}},
                "ports": [{"name": "", "port": 80, "targetPort": 0, "nodePort": 0, "protocol": ""}]}),
            cluster_ip,
        ),
        (
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 53, "protocol": "UDP",
                "targetPort": "dns"}]}),
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": true,
                "ports": [{"port": 53, "protocol": "UDP", "targetPort": "dns"}]}),
        ),
        (
            json!({"type": "ExternalName", "externalName": "a.b"}),
            json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}),
        ),
        (
            json!({"externalIPs": ["192.0.2.1"], "clusterIP": "None", "ports": [{"port": 1}]}),
            json!({"type": "ClusterIP", "externalIPs": ["192.0.2.1"], "externalTrafficPolicy": "Cluster",
                "clusterIP": "None", "clusterIPs": ["None"], "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster", "ports": [{"port": 1, "protocol": "TCP", "targetPort": 1}]}),
        ),
    ] {
        let service = created(sent.clone());
        assert_eq!(service["spec"], stored, "{sent}");
        assert_eq!(service["status"], json!({"loadBalancer": {}}));
        assert_eq!(Service.validate(&service), []);
    }
}

#[test]
fn all_errors_come_at_once_in_kubernetes_words() {
    let range = "must be between 1 and 65535, inclusive";
    for (spec, errors) in [
        (json!({}), vec!["spec.ports: Required value"]),
        (
            json!({"ports": [{"port": 80}, {"port": 80}]}),
            vec![
                "spec.ports[0].name: Required value",
                "spec.ports[1].name: Required value",
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\
                 \"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
            ],
        ),
        (
            json!({"ports": [{"name": "a", "port": 0, "targetPort": 70000}, {"name": "a", "port": 2, "protocol": "tcp"}]}),
            vec![
                &*format!("spec.ports[0].port: Invalid value: 0: {range}"),
                &*format!("spec.ports[0].targetPort: Invalid value: 70000: {range}"),
                "spec.ports[1].name: Duplicate value: \"a\"",
                "spec.ports[1].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        ),
        (
            json!({"type": "Cluster", "ports": [{"port": 1, "targetPort": "a_very_long_port_name"}]}),
            vec![
                "spec.ports[0].targetPort: Invalid value: \"a_very_long_port_name\": must be no more than 15 characters",
                "spec.ports[0].targetPort: Invalid value: \"a_very_long_port_name\": must contain only \
                 alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "spec.type: Unsupported value: \"Cluster\": supported values: \"ClusterIP\", \"ExternalName\", \
                 \"LoadBalancer\", \"NodePort\"",
            ],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30001}], "sessionAffinity": "Sticky",
                "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["x"], "healthCheckNodePort": 5,
                "allocateLoadBalancerNodePorts": true, "loadBalancerClass": "a/b"}),
            vec![
                "spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\"",
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.LoadBalancerSourceRanges[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. \
                 10.9.8.0/24 or 2001:db8::/64)",
                "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible \
                 services",
                "spec.healthCheckNodePort: Invalid value: 5: may only be set when `type` is 'LoadBalancer' and \
                 `externalTrafficPolicy` is 'Local'",
            ],
        ),
        (
            json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
            vec![
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ],
        ),
        (
            json!({"type": "NodePort", "ports": [{"name": "a", "port": 1, "nodePort": 30001}, {"name": "b", "port": 2, "nodePort": 30001}]}),
            vec!["spec.ports[1].nodePort: Duplicate value: 30001"],
        ),
        (
            json!({"type": "ExternalName", "clusterIP": "10.96.0.3"}),
            vec![
                "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
                "spec.externalName: Required value",
            ],
        ),
        (
            json!({"clusterIP": "10.96.0", "ports": [{"port": 1}]}),
            vec![
                "spec.clusterIPs[0]: Invalid value: \"10.96.0\": must be a valid IP address, (e.g. 10.9.8.7 or \
                  2001:db8::ffff)",
            ],
        ),
        (
            json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "10.96.0.2"], "ports": [{"port": 1}],
                "ipFamilies": ["IPv6", "IPv6"], "ipFamilyPolicy": "Both"}),
            vec![
                "spec.ipFamilies[1]: Duplicate value: \"IPv6\"",
                "spec.ipFamilyPolicy: Unsupported value: \"Both\": supported values: \"PreferDualStack\", \
                 \"RequireDualStack\", \"SingleStack\"",
                "spec.clusterIPs: Invalid value: [\"10.96.0.1\",\"10.96.0.2\"]: may specify no more than one IP for \
                 each IP family",
                "spec.clusterIPs[0]: Invalid value: \"10.96.0.1\": expected an IPv6 value as indicated by \
                 `ipFamilies[0]`",
                "spec.clusterIPs[1]: Invalid value: \"10.96.0.2\": expected an IPv6 value as indicated by \
                 `ipFamilies[1]`",
            ],
        ),
        (
            json!({"ports": [{"port": 1}], "externalIPs": ["127.0.0.1", "1.2.3"], "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}, "trafficDistribution": "Near",
                "internalTrafficPolicy": "All"}),
            vec![
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and \
                 less than 86400",
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, \
                 ::1/128)",
                "spec.externalIPs[1]: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or \
                 2001:db8::ffff)",
                "spec.internalTrafficPolicy: Unsupported value: \"All\": supported values: \"Cluster\", \"Local\"",
                "spec.trafficDistribution: Unsupported value: \"Near\": supported values: \"PreferClose\"",
            ],
        ),
    ] {
        assert_eq!(wrong(spec.clone()), errors, "{spec}");
    }
}

/// Whatever stands where something else belongs: an error or nothing, never a panic.
#[test]
fn nonsense_does_not_panic() {
    let nonsense =
        [json!(null), json!(7), json!("x"), json!([]), json!({}), json!([null, 7, "x", [], {}]), json!(-1)];
    let fields = [
        "type",
        "ports",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "selector",
        "externalIPs",
        "sessionAffinityConfig",
        "healthCheckNodePort",
        "loadBalancerSourceRanges",
    ];
    for value in &nonsense {
        for field in fields {
            let mut spec = json!({"type": "LoadBalancer", "ports": [{"port": 1}]});
            spec[field] = value.clone();
            updated(&stored("NodePort"), spec.clone());
            updated(&json!({"spec": spec.clone()}), stored("NodePort")["spec"].clone());
            wrong(spec);
        }
        for field in ["port", "targetPort", "nodePort", "protocol", "name", "appProtocol"] {
            let mut spec = json!({"type": "NodePort", "ports": [{"port": 1}]});
            spec["ports"][0][field] = value.clone();
            wrong(spec);
        }
        for whole in [value.clone(), json!({"spec": value}), json!({"spec": {}, "status": value})] {
            let mut new = whole;
            Service.default(&mut new);
            Service.prepare_create(&mut new);
            Service.prepare_update(&mut new, &stored("NodePort"), Part::Main);
            Service.validate_update(&new, &stored("NodePort"), Part::Status);
            Service.warnings(&new);
        }
    }
}

#[test]
fn a_put_keeps_what_was_drawn() {
    let old = stored("NodePort");
    let (new, wrong) = updated(&old, json!({"type": "NodePort", "ports": [{"port": 80}]}));
    assert_eq!((&new["spec"]["clusterIPs"], wrong), (&json!(["10.96.9.9"]), vec![]));
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30123);
    // another port of that name keeps the number, one of another name does not get it
    let two = json!([{"name": "b", "port": 81}, {"name": "c", "port": 82, "nodePort": 30123}]);
    let (new, _) = updated(&old, json!({"type": "NodePort", "ports": two}));
    assert!(new["spec"]["ports"][0]["nodePort"].is_null());
}

/// (from, to, which fields of the old type are gone)
#[test]
fn a_change_of_type_drops_what_the_new_type_has_not() {
    for (from, to, gone) in [
        ("NodePort", "ClusterIP", &["externalTrafficPolicy"] as &[&str]),
        ("LoadBalancer", "NodePort", &["allocateLoadBalancerNodePorts", "loadBalancerClass"]),
        ("ClusterIP", "ExternalName", &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]),
    ] {
        let mut old = stored(from);
        if from == "LoadBalancer" {
            old["spec"]["loadBalancerClass"] = json!("a/b");
            old["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        }
        let mut spec = old["spec"].clone();
        spec["type"] = json!(to);
        let (new, wrong) = updated(&old, spec);
        assert_eq!(wrong, Vec::<String>::new(), "{from} to {to}");
        for field in gone {
            assert!(!old["spec"][field].is_null() && new["spec"][field].is_null(), "{from} to {to}: {field}");
        }
        assert_eq!(new["spec"]["ports"][0]["nodePort"].is_null(), to != "NodePort");
        assert_eq!(new["status"], json!({"loadBalancer": {}}));
    }
    // what the caller changed as well is not dropped but refused
    let mut spec = stored("NodePort")["spec"].clone();
    spec["type"] = json!("ClusterIP");
    spec["ports"][0]["nodePort"] = json!(30999);
    let (_, wrong) = updated(&stored("NodePort"), spec);
    assert_eq!(wrong, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]);
}

#[test]
fn what_may_not_change() {
    let set = |field: &str, value: Value| {
        let mut spec = stored("LoadBalancer")["spec"].clone();
        spec[field] = value;
        updated(&stored("LoadBalancer"), spec).1
    };
    let once = "may not change once set";
    assert_eq!(
        set("clusterIP", json!("10.96.7.7")),
        [format!("spec.clusterIPs[0]: Invalid value: [\"10.96.7.7\"]: {once}")]
    );
    assert_eq!(
        set("clusterIP", json!("None")),
        [
            format!("spec.clusterIPs[0]: Invalid value: [\"None\"]: {once}"),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"
                .to_owned(),
        ]
    );
    assert_eq!(
        set("ipFamilies", json!(["IPv6"]))[0],
        format!("spec.ipFamilies[0]: Invalid value: [\"IPv6\"]: {once}")
    );
    assert_eq!(
        set("loadBalancerClass", json!("a/b")),
        [format!("spec.loadBalancerClass: Invalid value: \"a/b\": {once}")]
    );
}

#[test]
fn status() {
    let mut service = stored("LoadBalancer");
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    Service.default(&mut service);
    assert_eq!(service["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
    assert_eq!(Service.validate_update(&service, &service, Part::Status), []);
    service["status"]["loadBalancer"]["ingress"] =
        json!([{"ip": "x", "ipMode": "Y"}, {"hostname": "192.0.2.1"}]);
    assert_eq!(texts(&Service.validate_update(&service, &service, Part::Status)).len(), 3);
    let mut plain = stored("ClusterIP");
    plain["status"] = service["status"].clone();
    let wrong = Service.validate_update(&plain, &plain, Part::Status);
    let message = ApiError::invalid("", "Service", "web", &wrong).message;
    let why = "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\"";
    assert_eq!(message, format!("Service \"web\" is invalid: {why}"));
}

#[test]
fn warnings() {
    let headless =
        created(json!({"clusterIP": "None", "sessionAffinity": "ClientIP", "ports": [{"port": 1}]}));
    assert_eq!(Service.warnings(&headless), ["spec.SessionAffinity is ignored for headless services"]);
    assert_eq!(Service.warnings(&stored("NodePort")), Vec::<String>::new());
}
