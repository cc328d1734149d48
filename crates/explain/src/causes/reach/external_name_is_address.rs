//! An ExternalName that is an address.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::subject::Subject;
use serde_json::{Value, json};
use std::net::IpAddr;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "external-name-is-address",
    title: "An ExternalName is an IP address",
    about: "An ExternalName becomes a CNAME record, and a CNAME points to a name: clients get no address from it.",
    make: "kubectl create service externalname db --external-name=10.1.2.3",
    mend: "Use a headless Service without selector, and an EndpointSlice made by hand that holds the address.",
    needs: &[],
    look: Look::Service(find),
};

/// The address that an ExternalName is, if it is one.
pub(super) fn address(subject: &Subject<'_>) -> Option<IpAddr> {
    let name = subject.service.spec.external_name.trim_end_matches('.');
    name.parse().ok().filter(|_| subject.service.is_external_name())
}

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(address) = address(subject) else { return Vec::new() };
    let service = subject.name();
    let message = format!(
        "Service {service} stands for the name {address}, which is an IP address: DNS answers with a CNAME, and nobody can resolve that one."
    );
    let instead = instead(subject, address);
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("externalName: {}", subject.service.spec.external_name))
        .fix(format!(
            "{} && echo '{instead}' | kubectl create -f -",
            subject.kubectl(&format!("delete service {service}"))
        ));
    vec![finding]
}

/// What answers for the name with that address: a headless Service of the same ports, and its slice.
fn instead(subject: &Subject<'_>, address: IpAddr) -> Value {
    let (namespace, name) = (subject.namespace(), subject.name());
    let ports = subject.service.spec.ports.iter();
    let port = |number: u32, port: &crate::objects::ServicePort| match port.name.as_str() {
        "" => json!({"port": number, "protocol": port.protocol()}),
        name => json!({"name": name, "port": number, "protocol": port.protocol()}),
    };
    let ports: Vec<Value> = ports.map(|p| port(p.port, p)).collect();
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": "None", "ipFamilies": [family], "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {
                "name": format!("{name}-1"), "namespace": namespace, "labels": {"kubernetes.io/service-name": name},
            },
            "endpoints": [{"addresses": [address.to_string()]}],
            "ports": ports,
        },
    ]})
}
