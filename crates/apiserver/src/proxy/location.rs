//! Where a proxied request goes: `name`, `name:port` or `scheme:name:port`, as an address and the node that can reach it.
//!
//! `pkg/registry/core/{service,pod,node}` in Kubernetes, their `ResourceLocation`.

use crate::kinds;
use crate::registry::{Location, Registry};
use crate::status::ApiError;
use rand::seq::SliceRandom as _;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The port at which a kubelet would be: it means the node's agent.
const KUBELET_PORT: &str = "10250";

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To the agent of a node.
    Node(String),
    /// To an address.
    Address(Endpoint),
}

/// An address, and the node that can reach it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) node: String,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) address: SocketAddr,
}

/// What a request names.
#[derive(Debug, PartialEq, Eq)]
struct Id<'a> {
    scheme: &'static str,
    name: &'a str,
    /// A number or a name; empty if none is said.
    port: &'a str,
}

impl<'a> Id<'a> {
    fn parse(text: &'a str, what: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => ("", "", ""),
        };
        let scheme = match scheme {
            "" | "http" => "http",
            "https" => "https",
            _ => "",
        };
        if name.is_empty() || scheme.is_empty() {
            return Err(ApiError::bad_request(format!("invalid {what} request {text:?}")));
        }
        Ok(Self { scheme, name, port })
    }
}

fn unavailable(message: String) -> ApiError {
    ApiError::new(503, "ServiceUnavailable", message)
}

fn read(registry: &Registry, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
    let kind = kinds::find("", "v1", plural).expect("core kinds are served");
    registry.get(&Location { kind, version: "v1", namespace, name })
}

/// A ready endpoint of a Service, any of them.
pub(super) fn service(registry: &Registry, at: &Location<'_>) -> Result<Target, ApiError> {
    let id = Id::parse(at.name, "service")?;
    let port = match id.port.parse::<u64>() {
        Ok(number) => {
            name_of_port(&read(registry, "services", at.namespace, id.name)?, number).ok_or_else(|| {
                unavailable(format!("no service port {number} found for service {:?}", id.name))
            })?
        }
        Err(_) => id.port.to_owned(),
    };
    let endpoints = read(registry, "endpoints", at.namespace, id.name)?;
    let mut found = candidates(&endpoints, &port);
    if found.is_empty() && endpoints["subsets"].as_array().is_none_or(Vec::is_empty) {
        return Err(unavailable(format!("no endpoints available for service {:?}", id.name)));
    }
    found.shuffle(&mut rand::rng());
    let usable = found.into_iter().find_map(|(pod, address)| {
        // Addresses that are no Pod's are not proxied to: the server must not be a way into other networks.
        let pod = read(registry, "pods", at.namespace, &pod).ok()?;
        let own = pod["status"]["podIPs"].as_array().into_iter().flatten();
        let own = own.filter_map(|ip| ip["ip"].as_str()).any(|ip| ip.parse() == Ok(address.ip()));
        let node = pod["spec"]["nodeName"].as_str().filter(|_| own)?.to_owned();
        Some(Target::Address(Endpoint { node, scheme: id.scheme, address }))
    });
    usable.ok_or_else(|| unavailable(format!("no endpoints available for service {:?}", at.name)))
}

/// The name of the Service's port with a number.
fn name_of_port(service: &Value, number: u64) -> Option<String> {
    let ports = service["spec"]["ports"].as_array()?;
    let port = ports.iter().find(|p| p["port"].as_u64() == Some(number))?;
    Some(port["name"].as_str().unwrap_or_default().to_owned())
}

/// The Pods behind a port, with their addresses.
fn candidates(endpoints: &Value, port: &str) -> Vec<(String, SocketAddr)> {
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        let ports = subset["ports"].as_array().into_iter().flatten();
        let number = ports
            .filter(|p| p["name"].as_str().unwrap_or_default() == port)
            .find_map(|p| u16::try_from(p["port"].as_u64()?).ok());
        let Some(number) = number else { continue };
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let target = &address["targetRef"];
            let ip = address["ip"].as_str().and_then(|ip| ip.parse::<IpAddr>().ok());
            if let (Some("Pod"), Some(pod), Some(ip)) = (target["kind"].as_str(), target["name"].as_str(), ip)
            {
                found.push((pod.to_owned(), SocketAddr::new(ip, number)));
            }
        }
    }
    found
}

/// A port of a Pod: the one that is named, or its first one, or the scheme's own.
pub(super) fn pod(registry: &Registry, at: &Location<'_>) -> Result<Target, ApiError> {
    let id = Id::parse(at.name, "pod")?;
    let pod = read(registry, "pods", at.namespace, id.name)?;
    let address = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse::<IpAddr>().ok());
    let address = address.filter(global).ok_or_else(|| ApiError::bad_request("address not allowed"))?;
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
    let address = SocketAddr::new(address, port_of_pod(&pod, &id)?);
    Ok(Target::Address(Endpoint { node, scheme: id.scheme, address }))
}

fn port_of_pod(pod: &Value, id: &Id<'_>) -> Result<u16, ApiError> {
    if !id.port.is_empty() {
        let invalid = |_| ApiError::bad_request(format!("invalid port {:?}", id.port));
        return id.port.parse().map_err(invalid);
    }
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let first = ports.find_map(|p| u16::try_from(p["containerPort"].as_u64()?).ok().filter(|p| *p > 0));
    Ok(first.unwrap_or(if id.scheme == "https" { 443 } else { 80 }))
}

/// The node's agent, or a port of the node.
pub(super) fn node(registry: &Registry, at: &Location<'_>) -> Result<Target, ApiError> {
    let id = Id::parse(at.name, "node")?;
    let node = read(registry, "nodes", "", id.name)?;
    if matches!(id.port, "" | KUBELET_PORT) {
        return Ok(Target::Node(id.name.to_owned()));
    }
    let port = id.port.parse().map_err(|_| ApiError::bad_request(format!("invalid port {:?}", id.port)))?;
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let mut internal = addresses.filter(|a| a["type"] == "InternalIP").filter_map(|a| a["address"].as_str());
    let address = internal.find_map(|a| a.parse::<IpAddr>().ok()).filter(global);
    let address = address.ok_or_else(|| ApiError::bad_request("address not allowed"))?;
    let endpoint =
        Endpoint { node: id.name.to_owned(), scheme: id.scheme, address: SocketAddr::new(address, port) };
    Ok(Target::Address(endpoint))
}

/// Whether an address may be a Pod's: one that means the node itself, or everybody, would lead elsewhere.
fn global(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_request_names() {
        for (text, expected) in [
            ("web", Some(("http", "web", ""))),
            ("web:http", Some(("http", "web", "http"))),
            ("https:web:443", Some(("https", "web", "443"))),
            (":web:80", Some(("http", "web", "80"))),
            ("https:web:", Some(("https", "web", ""))),
            ("ftp:web:21", None),
            ("", None),
            (":80", None),
            ("a:b:c:d", None),
        ] {
            let found = Id::parse(text, "service").ok().map(|i| (i.scheme, i.name, i.port));
            assert_eq!(found, expected, "{text}");
        }
        let error = Id::parse("a:b:c:d", "service").unwrap_err();
        assert_eq!((error.code, &*error.message), (400, "invalid service request \"a:b:c:d\""));
    }

    #[test]
    fn candidates_are_the_pods_behind_the_port() {
        let pod = |name: &str, ip: &str| json!({"ip": ip, "targetRef": {"kind": "Pod", "name": name}});
        let endpoints = json!({"subsets": [
            {"addresses": [pod("a", "10.0.0.1"), {"ip": "10.0.0.9"}], "notReadyAddresses": [pod("n", "10.0.0.2")],
             "ports": [{"name": "web", "port": 8080}, {"name": "metrics", "port": 9090}]},
            {"addresses": [pod("b", "10.0.0.3")], "ports": [{"name": "web", "port": 8081}]},
            {"notReadyAddresses": [pod("m", "10.0.0.4")], "ports": [{"port": 80}]},
        ]});
        let found = |port| candidates(&endpoints, port);
        let at = |pod: &str, address: &str| (pod.to_owned(), address.parse::<SocketAddr>().unwrap());
        assert_eq!(found("web"), [at("a", "10.0.0.1:8080"), at("b", "10.0.0.3:8081")]);
        assert_eq!(found("metrics"), [at("a", "10.0.0.1:9090")]);
        assert_eq!(found(""), []);
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80}, {"port": 81}]}});
        assert_eq!(name_of_port(&service, 80).as_deref(), Some("web"));
        assert_eq!(name_of_port(&service, 81).as_deref(), Some(""));
        assert_eq!(name_of_port(&service, 82), None);
    }

    #[test]
    fn a_pods_port() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"ports": [{"containerPort": 8080}]}]}});
        let port = |pod: &Value, id| port_of_pod(pod, &Id::parse(id, "pod").unwrap()).ok();
        assert_eq!(port(&pod, "p"), Some(8080));
        assert_eq!(port(&pod, "p:81"), Some(81));
        assert_eq!(port(&pod, "p:web"), None);
        assert_eq!(port(&json!({}), "p"), Some(80));
        assert_eq!(port(&json!({}), "https:p:"), Some(443));
    }

    #[test]
    fn addresses_that_mean_something_else_are_not_proxied_to() {
        for (text, expected) in [
            ("10.244.0.5", true),
            ("fd00::5", true),
            ("127.0.0.1", false),
            ("169.254.30.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(global(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
