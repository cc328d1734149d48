//! The environment variables of Services, plain and in the form of Docker's links (pkg/kubelet/envvars in Kubernetes).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The Services that a Pod of `namespace` sees in its environment: those of its namespace if it wants links, and
/// always `kubernetes` of `default` (unless its own namespace has a Service of that name).
pub(crate) fn visible<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> Vec<&'a Service> {
    let mut by_name: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let Some(name) = service.metadata.name.as_deref() else { continue };
        let home = service.metadata.namespace.as_deref().unwrap_or_default();
        if cluster_ip(service).is_none() {
            continue;
        }
        if home == namespace && links {
            by_name.insert(name, service);
        } else if home == "default" && name == "kubernetes" {
            by_name.entry(name).or_insert(service);
        }
    }
    by_name.into_values().collect()
}

fn cluster_ip(service: &Service) -> Option<&str> {
    let ip = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!ip.is_empty() && ip != "None").then_some(ip)
}

/// The variables of these Services.
pub(crate) fn variables(services: &[&Service]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for service in services {
        let Some(ip) = cluster_ip(service) else { continue };
        let name = upper(service.metadata.name.as_deref().unwrap_or_default());
        let ports = service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default();
        out.insert(format!("{name}_SERVICE_HOST"), ip.to_owned());
        if let Some(first) = ports.first() {
            out.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
        }
        for port in ports {
            if let Some(port_name) = port.name.as_deref().filter(|n| !n.is_empty()) {
                out.insert(format!("{name}_SERVICE_PORT_{}", upper(port_name)), port.port.to_string());
            }
        }
        links(&mut out, &name, ip, ports);
    }
    out
}

fn links(out: &mut BTreeMap<String, String>, name: &str, ip: &str, ports: &[ServicePort]) {
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let number = port.port;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let url = format!("{}://{host}:{number}", protocol.to_lowercase());
        if index == 0 {
            out.insert(format!("{name}_PORT"), url.clone());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        out.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        out.insert(format!("{prefix}_PORT"), number.to_string());
        out.insert(format!("{prefix}_ADDR"), ip.to_owned());
        out.insert(prefix, url);
    }
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str, ip: &str, ports: serde_json::Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": ip, "ports": ports},
        }))
        .unwrap()
    }

    #[test]
    fn one_service_in_both_forms() {
        let ports = json!([{"name": "web-ui", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
        let hello = service("default", "hello-svc", "10.96.0.7", ports);
        let got = variables(&[&hello]);
        let wanted = [
            ("HELLO_SVC_PORT", "tcp://10.96.0.7:8080"),
            ("HELLO_SVC_PORT_53_UDP", "udp://10.96.0.7:53"),
            ("HELLO_SVC_PORT_53_UDP_ADDR", "10.96.0.7"),
            ("HELLO_SVC_PORT_53_UDP_PORT", "53"),
            ("HELLO_SVC_PORT_53_UDP_PROTO", "udp"),
            ("HELLO_SVC_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
            ("HELLO_SVC_PORT_8080_TCP_ADDR", "10.96.0.7"),
            ("HELLO_SVC_PORT_8080_TCP_PORT", "8080"),
            ("HELLO_SVC_PORT_8080_TCP_PROTO", "tcp"),
            ("HELLO_SVC_SERVICE_HOST", "10.96.0.7"),
            ("HELLO_SVC_SERVICE_PORT", "8080"),
            ("HELLO_SVC_SERVICE_PORT_DNS", "53"),
            ("HELLO_SVC_SERVICE_PORT_WEB_UI", "8080"),
        ];
        let got: Vec<_> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(got, wanted);
    }

    #[test]
    fn ipv6_is_bracketed_in_urls_only() {
        let got = variables(&[&service("a", "s", "fd00::1", json!([{"port": 80}]))]);
        assert_eq!(
            (got["S_PORT"].as_str(), got["S_PORT_80_TCP_ADDR"].as_str()),
            ("tcp://[fd00::1]:80", "fd00::1")
        );
    }

    #[test]
    fn which_services_are_visible() {
        let all = [
            service("default", "kubernetes", "10.96.0.1", json!([])),
            service("default", "web", "10.96.0.2", json!([])),
            service("shop", "db", "10.96.0.3", json!([])),
            service("shop", "headless", "None", json!([])),
            service("shop", "external", "", json!([])),
            service("own", "kubernetes", "10.96.0.9", json!([])),
        ];
        let names = |namespace, links| {
            let seen = visible(&all, namespace, links);
            seen.iter()
                .map(|s| s.spec.as_ref().unwrap().cluster_ip.clone().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names("default", true), "10.96.0.1 10.96.0.2");
        assert_eq!(names("shop", true), "10.96.0.3 10.96.0.1");
        assert_eq!(names("shop", false), "10.96.0.1");
        assert_eq!(names("own", true), "10.96.0.9");
    }
}
