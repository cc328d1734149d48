//! Services against a store: what is claimed, refused and freed, and that nothing leaks.

use crate::Config;
use crate::registry::key::{object_key, resource_prefix};
use crate::registry::object;
use crate::status::ApiError;
use crate::strategy::{AllocateContext, Claims, Part, Strategy, for_kind};
use sealane_storage::{Condition, MemoryStore, Op, Store, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A cluster that has nothing but Services.
struct Cluster {
    store: MemoryStore,
    config: Config,
}

fn config(cidrs: &[&str], ports: std::ops::RangeInclusive<u16>) -> Config {
    let parse = |c: &&str| crate::strategy::format::parse_cidr(c).unwrap();
    Config {
        service_cidrs: cidrs.iter().map(parse).collect(),
        node_ports: ports,
        advertise: "10.123.0.1:6443".parse().unwrap(),
        cluster_domain: "cluster.local".into(),
        issuer: "https://kubernetes.default.svc.cluster.local".into(),
        token_key_pkcs8: Vec::new(),
        ca_pem: String::new(),
        kubernetes_version: "v1.33.0".into(),
    }
}

fn strategy() -> &'static dyn Strategy {
    for_kind("", "Service")
}

impl Cluster {
    fn new(cidrs: &[&str], ports: std::ops::RangeInclusive<u16>) -> Self {
        Self { store: MemoryStore::new(), config: config(cidrs, ports) }
    }

    fn usual() -> Self {
        Self::new(&["10.96.0.0/16"], 30000..=32767)
    }

    fn context(&self, attempt: u32) -> AllocateContext<'_> {
        AllocateContext { store: &self.store, config: &self.config, attempt, dry_run: false }
    }

    fn get(&self, name: &str) -> Option<Value> {
        let entry = self.store.get(&object_key("", "services", "default", name))?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    /// What the registry does with a Service, without its races.
    async fn apply(&self, name: &str, spec: Value) -> Result<Value, ApiError> {
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.write(service).await
    }

    async fn write(&self, mut new: Value) -> Result<Value, ApiError> {
        let name = object::meta(&new, "name").to_owned();
        let old = self.get(&name);
        strategy().default(&mut new);
        let wrong = match &old {
            None => {
                strategy().prepare_create(&mut new);
                strategy().validate(&new)
            }
            Some(old) => {
                strategy().prepare_update(&mut new, old, Part::Main);
                strategy().validate_update(&new, old, Part::Main)
            }
        };
        if !wrong.is_empty() {
            return Err(ApiError::invalid("", "Service", &name, &wrong));
        }
        let claims = strategy().allocate(&self.context(0), &mut new, old.as_ref())?;
        let key = object_key("", "services", "default", &name);
        self.commit(claims, Op::Put(key, object::encode(&new))).await.unwrap();
        Ok(new)
    }

    async fn delete(&self, name: &str) {
        let Some(old) = self.get(name) else { return };
        let claims = strategy().release(&self.context(0), &old);
        self.commit(claims, Op::Delete(object_key("", "services", "default", name))).await.unwrap();
    }

    async fn commit(&self, claims: Claims, op: Op) -> Result<u64, StoreError> {
        let mut ops = claims.ops;
        ops.push(op);
        self.store.txn(claims.conditions, ops).await
    }

    fn keys(&self, prefix: &str) -> BTreeSet<String> {
        let entries = self.store.range(prefix, None, 0, None).unwrap().entries;
        entries.iter().map(|e| e.key.strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    /// The claims are exactly what the Services hold.
    fn check(&self) {
        let mut ips = BTreeSet::new();
        let mut ports = BTreeSet::new();
        for name in self.keys("/registry/core/services/default/") {
            let spec = &self.get(&name).unwrap()["spec"];
            for ip in spec["clusterIPs"].as_array().into_iter().flatten().filter(|ip| *ip != "None") {
                assert!(ips.insert(ip.as_str().unwrap().to_owned()), "{ip} is held twice");
            }
            let own: BTreeSet<String> = spec["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|p| &p["nodePort"])
                .chain([&spec["healthCheckNodePort"]])
                .filter_map(Value::as_i64)
                .map(|p| p.to_string())
                .collect();
            for port in own {
                assert!(ports.insert(port.clone()), "port {port} is held twice");
            }
        }
        assert_eq!(self.keys(&resource_prefix("networking.k8s.io", "ipaddresses")), ips);
        assert_eq!(self.keys("/allocations/nodeports/"), ports);
    }
}

fn web(extra: Value) -> Value {
    let mut spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

#[tokio::test]
async fn a_plain_service_gets_an_address_from_the_dynamic_band() {
    let cluster = Cluster::usual();
    let service = cluster.apply("web", web(json!({}))).await.unwrap();
    let ip: std::net::Ipv4Addr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
    assert!(ip > std::net::Ipv4Addr::new(10, 96, 1, 0), "{ip}");
    assert_eq!(service["spec"]["clusterIPs"], json!([ip.to_string()]));
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(service["spec"]["ipFamilyPolicy"], "SingleStack");
    let key = object_key("networking.k8s.io", "ipaddresses", "", &ip.to_string());
    let address = object::decode(&cluster.store.get(&key).unwrap()).unwrap();
    assert_eq!(address["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"], "IPv4");
    let parent = json!({"resource": "services", "namespace": "default", "name": "web"});
    assert_eq!(address["spec"]["parentRef"], parent);
    cluster.check();
    cluster.delete("web").await;
    cluster.check();
}

/// (what is asked for, the whole message)
#[tokio::test]
async fn refusals_in_kubernetes_words() {
    let cluster = Cluster::usual();
    cluster.apply("dns", web(json!({"clusterIP": "10.96.0.10", "type": "NodePort"}))).await.unwrap();
    cluster
        .apply("np", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}))
        .await
        .unwrap();
    let range = "provided port is not in the valid range. The range of valid ports is 30000-32767";
    for (spec, message) in [
        (
            web(json!({"clusterIP": "10.96.0.10"})),
            "Service \"x\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.10\"]: failed to allocate IP \
             10.96.0.10: provided IP is already allocated"
                .to_owned(),
        ),
        (
            web(json!({"clusterIP": "10.97.0.10"})),
            "Service \"x\" is invalid: spec.clusterIPs: Invalid value: [\"10.97.0.10\"]: failed to allocate IP \
             10.97.0.10: the provided network does not match the current range"
                .to_owned(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            format!("Service \"x\" is invalid: spec.ports[0].nodePort: Invalid value: 80: {range}"),
        ),
        (
            json!({"type": "NodePort", "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2, "nodePort": 30001}]}),
            "Service \"x\" is invalid: spec.ports[1].nodePort: Invalid value: 30001: provided port is already allocated"
                .to_owned(),
        ),
        (
            web(json!({"ipFamilyPolicy": "RequireDualStack"})),
            "Service \"x\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not \
             configured for dual-stack services"
                .to_owned(),
        ),
        (
            web(json!({"ipFamilies": ["IPv6"]})),
            "Service \"x\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"
                .to_owned(),
        ),
        (
            web(json!({"clusterIP": "fd00::1"})),
            "Service \"x\" is invalid: spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on \
             this cluster"
                .to_owned(),
        ),
    ] {
        let error = cluster.apply("x", spec).await.unwrap_err();
        assert_eq!((error.code, error.message), (422, message));
        cluster.check();
    }
}

#[tokio::test]
async fn a_change_of_the_address_is_refused_and_a_put_without_it_keeps_it() {
    let cluster = Cluster::usual();
    let made = cluster.apply("web", web(json!({"type": "NodePort"}))).await.unwrap();
    let change = web(json!({"type": "NodePort", "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"]}));
    let error = cluster.apply("web", change).await.unwrap_err();
    let text = "spec.clusterIPs[0]: Invalid value: [\"10.96.7.7\"]: may not change once set";
    assert_eq!(error.message, format!("Service \"web\" is invalid: {text}"));
    let put = cluster.apply("web", web(json!({"type": "NodePort"}))).await.unwrap();
    assert_eq!(put["spec"], made["spec"]);
    cluster.check();
}

/// Each type in turn, the object read, its type changed, written back, as `kubectl patch` does.
#[tokio::test]
async fn types_change_into_each_other_and_nothing_leaks() {
    let cluster = Cluster::usual();
    let mut service = cluster.apply("web", web(json!({}))).await.unwrap();
    for kind in [
        "NodePort",
        "ClusterIP",
        "LoadBalancer",
        "NodePort",
        "ExternalName",
        "NodePort",
        "ClusterIP",
        "ExternalName",
        "LoadBalancer",
        "ExternalName",
        "ClusterIP",
    ] {
        service["spec"]["type"] = json!(kind);
        let external = if kind == "ExternalName" { json!("example.org") } else { Value::Null };
        service["spec"]["externalName"] = external;
        service = cluster.write(service).await.unwrap();
        let spec = &service["spec"];
        let ported = matches!(kind, "NodePort" | "LoadBalancer");
        assert_eq!(spec["ports"][0]["nodePort"].is_i64(), ported, "{kind}: {spec}");
        assert_eq!(spec["clusterIP"].is_string(), kind != "ExternalName", "{kind}: {spec}");
        assert_eq!(spec["externalTrafficPolicy"].is_string(), ported, "{kind}: {spec}");
        assert_eq!(
            spec["allocateLoadBalancerNodePorts"].is_boolean(),
            kind == "LoadBalancer",
            "{kind}: {spec}"
        );
        cluster.check();
    }
}

#[tokio::test]
async fn one_node_port_serves_tcp_and_udp_of_one_service() {
    let cluster = Cluster::usual();
    let ports = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let made = cluster.apply("dns", json!({"type": "NodePort", "ports": ports})).await.unwrap();
    let spec = &made["spec"];
    assert_eq!(spec["ports"][0]["nodePort"], spec["ports"][1]["nodePort"]);
    let asked = json!([{"name": "t", "port": 1, "nodePort": 30053}, {"name": "u", "port": 2, "nodePort": 30053, "protocol": "UDP"}]);
    cluster.apply("two", json!({"type": "NodePort", "ports": asked})).await.unwrap();
    let claim = cluster.store.get("/allocations/nodeports/30053").unwrap();
    let claim: Value = serde_json::from_slice(&claim.value).unwrap();
    assert_eq!(claim, json!({"namespace": "default", "name": "two", "protocols": ["TCP", "UDP"]}));
    cluster.check();
    let one = json!([{"name": "u", "port": 2, "nodePort": 30053, "protocol": "UDP"}]);
    cluster.apply("two", json!({"type": "NodePort", "ports": one})).await.unwrap();
    cluster.check();
}

#[tokio::test]
async fn the_health_check_port_comes_and_goes_with_the_local_policy() {
    let cluster = Cluster::usual();
    let local = || web(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}));
    let made = cluster.apply("lb", local()).await.unwrap();
    let port = made["spec"]["healthCheckNodePort"].clone();
    assert!(port.is_number());
    cluster.check();
    assert_eq!(cluster.apply("lb", local()).await.unwrap()["spec"]["healthCheckNodePort"], port);
    let mut change = made.clone();
    change["spec"]["healthCheckNodePort"] = json!(31999);
    let error = cluster.write(change).await.unwrap_err();
    assert_eq!(
        error.message,
        "Service \"lb\" is invalid: spec.healthCheckNodePort: Forbidden: field is immutable"
    );
    let mut cluster_wide = made.clone();
    cluster_wide["spec"]["externalTrafficPolicy"] = json!("Cluster");
    let after = cluster.write(cluster_wide).await.unwrap();
    assert!(after["spec"]["healthCheckNodePort"].is_null());
    cluster.check();
}

#[tokio::test]
async fn node_ports_come_from_the_static_band_last_and_then_run_out() {
    let cluster = Cluster::new(&["10.96.0.0/16"], 30000..=30039);
    for n in 0..40 {
        let made = cluster.apply(&format!("s{n}"), web(json!({"type": "NodePort"}))).await.unwrap();
        let port = made["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
        assert_eq!(port < 30016, n >= 24, "number {n} was {port}");
    }
    let error = cluster.apply("one-more", web(json!({"type": "NodePort"}))).await.unwrap_err();
    assert_eq!(error.code, 500);
    assert_eq!(error.message, "Internal error occurred: failed to allocate a nodePort: range is full");
    cluster.check();
}

#[tokio::test]
async fn addresses_run_out_and_another_service_cidr_helps() {
    let cluster = Cluster::new(&["192.168.0.0/29"], 30000..=32767);
    for n in 0..6 {
        cluster.apply(&format!("s{n}"), web(json!({}))).await.unwrap();
    }
    let error = cluster.apply("s6", web(json!({}))).await.unwrap_err();
    assert_eq!(error.message, "Internal error occurred: failed to allocate a serviceIP: range is full");
    let put = |deleting: bool| {
        let mut cidr = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["192.168.9.0/28"]}});
        if deleting {
            cidr["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Op::Put(object_key("networking.k8s.io", "servicecidrs", "", "more"), cidr.to_string().into())
    };
    cluster.commit(Claims::default(), put(true)).await.unwrap();
    assert!(cluster.apply("s6", web(json!({}))).await.is_err(), "a range that is going gives nothing");
    cluster.commit(Claims::default(), put(false)).await.unwrap();
    let made = cluster.apply("s6", web(json!({}))).await.unwrap();
    assert!(made["spec"]["clusterIP"].as_str().unwrap().starts_with("192.168.9."));
    cluster.check();
}

#[tokio::test]
async fn two_families() {
    let cluster = Cluster::new(&["10.96.0.0/16", "fd00:10::/112"], 30000..=32767);
    let single = cluster.apply("single", web(json!({}))).await.unwrap();
    assert_eq!(single["spec"]["ipFamilies"], json!(["IPv4"]));
    let both = cluster.apply("both", web(json!({"ipFamilyPolicy": "PreferDualStack"}))).await.unwrap();
    assert_eq!(both["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(both["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    cluster.check();
    let mut down = both.clone();
    down["spec"]["ipFamilyPolicy"] = json!("SingleStack");
    let down = cluster.write(down).await.unwrap();
    assert_eq!(down["spec"]["clusterIPs"], json!([both["spec"]["clusterIPs"][0]]));
    cluster.check();
    let mut up = down;
    up["spec"]["ipFamilyPolicy"] = json!("RequireDualStack");
    let up = cluster.write(up).await.unwrap();
    assert_eq!(up["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    cluster.check();
    let headless = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    let headless = cluster.apply("headless", headless).await.unwrap();
    assert_eq!(headless["spec"]["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    cluster.check();
}

/// Somebody else takes what was chosen between choice and commit: the transaction fails whole, the next try has
/// the right answer.
#[tokio::test]
async fn a_lost_race_claims_nothing_and_is_told_on_the_next_try() {
    let cluster = Cluster::usual();
    let mut late = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "default"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}});
    strategy().default(&mut late);
    strategy().prepare_create(&mut late);
    let claims = strategy().allocate(&cluster.context(0), &mut late.clone(), None).unwrap();
    let taken = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]});
    cluster.apply("first", taken).await.unwrap();
    let put = Op::Put(object_key("", "services", "default", "late"), object::encode(&late));
    let error = cluster.commit(claims, put).await.unwrap_err();
    let StoreError::Conflict { condition: Condition::Absent(key), .. } = error else { panic!("{error}") };
    assert_eq!(&*key, "/allocations/nodeports/30001");
    cluster.check();
    let error = strategy().allocate(&cluster.context(1), &mut late, None).unwrap_err();
    assert!(error.message.ends_with("provided port is already allocated"), "{error}");
}

/// An IPAddress deleted by hand is back with the next write of its Service.
#[tokio::test]
async fn a_deleted_address_is_claimed_again() {
    let cluster = Cluster::usual();
    let made = cluster.apply("a", web(json!({"clusterIP": "10.96.3.3"}))).await.unwrap();
    let key = object_key("networking.k8s.io", "ipaddresses", "", "10.96.3.3");
    cluster.commit(Claims::default(), Op::Delete(key)).await.unwrap();
    cluster.write(made).await.unwrap();
    cluster.check();
}

/// An IPAddress deleted by hand and taken by another Service is not freed with the first one.
#[tokio::test]
async fn a_claim_of_somebody_else_is_not_freed() {
    let cluster = Cluster::usual();
    cluster.apply("a", web(json!({"clusterIP": "10.96.3.3"}))).await.unwrap();
    let key = object_key("networking.k8s.io", "ipaddresses", "", "10.96.3.3");
    cluster.commit(Claims::default(), Op::Delete(key.clone())).await.unwrap();
    cluster.apply("b", web(json!({"clusterIP": "10.96.3.3"}))).await.unwrap();
    cluster.delete("a").await;
    cluster.check();
    assert!(cluster.store.get(&key).is_some());
}

mod random {
    use super::Cluster;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn spec() -> impl Strategy<Value = Value> {
        let kind =
            prop::sample::select(vec!["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Headless"]);
        let port = (1u16..4, prop::option::of(30000u16..30012), prop::bool::ANY);
        (kind, prop::collection::vec(port, 1..4), prop::bool::ANY, prop::option::of(1u8..6)).prop_map(
            |(kind, ports, local, ip)| {
                let ports: Vec<Value> = ports
                    .iter()
                    .enumerate()
                    .map(|(i, (port, node, udp))| {
                        let mut p = json!({"name": format!("p{i}"), "port": port,
                            "protocol": if *udp { "UDP" } else { "TCP" }});
                        if let (Some(node), "NodePort" | "LoadBalancer") = (node, kind) {
                            p["nodePort"] = json!(node);
                        }
                        p
                    })
                    .collect();
                let mut spec = json!({"type": kind, "ports": ports, "selector": {"a": "b"}});
                match kind {
                    "ExternalName" => spec["externalName"] = json!("example.org"),
                    "Headless" => {
                        spec["type"] = json!("ClusterIP");
                        spec["clusterIP"] = json!("None");
                    }
                    _ => {
                        if let Some(ip) = ip {
                            spec["clusterIP"] = json!(format!("10.0.0.{ip}"));
                        }
                        if local && kind == "LoadBalancer" {
                            spec["externalTrafficPolicy"] = json!("Local");
                        }
                    }
                }
                spec
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// After any creates, updates (a PUT, or a read and a change of type) and deletes the claims are exactly what
        /// the Services hold.
        #[test]
        fn claims_are_what_services_hold(steps in prop::collection::vec((0u8..5, 0u8..4, spec()), 1..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let cluster = Cluster::new(&["10.0.0.0/27"], 30000..=30031);
                for (name, what, spec) in steps {
                    let name = format!("s{name}");
                    match (what, cluster.get(&name)) {
                        (0, _) => cluster.delete(&name).await,
                        (1, Some(mut old)) => {
                            old["spec"]["type"] = spec["type"].clone();
                            old["spec"]["externalName"] = spec["externalName"].clone();
                            let _ = cluster.write(old).await;
                        }
                        _ => {
                            let _ = cluster.apply(&name, spec).await;
                        }
                    }
                    cluster.check();
                }
            });
        }
    }
}
