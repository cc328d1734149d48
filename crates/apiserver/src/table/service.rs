//! Services and what belongs to them: Endpoints, EndpointSlices, ServiceCIDRs, IPAddresses.

use super::{AGE, NAME, Printer, age, labels, list, name, number, or_else, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many endpoints or ports are shown before `+ N more...`.
const SHOWN: usize = 3;

pub(super) const SERVICE: Printer = Printer {
    columns: &[
        NAME,
        ("Type", "string", "", 0),
        ("Cluster-IP", "string", "", 0),
        ("External-IP", "string", "", 0),
        ("Port(s)", "string", "", 0),
        AGE,
        ("Selector", "string", "", 1),
    ],
    cells: |object, now| {
        let cluster_ip = or_else(text(object, "/spec/clusterIPs/0"), text(object, "/spec/clusterIP"));
        vec![
            json!(name(object)),
            json!(text(object, "/spec/type")),
            json!(or_else(cluster_ip, "<none>")),
            json!(external_ip(object)),
            json!(or_else(&ports(object), "<none>")),
            json!(age(object, now)),
            json!(labels(object.pointer("/spec/selector"))),
        ]
    },
};

fn external_ip(object: &Value) -> String {
    let own: Vec<&str> = list(object, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    match text(object, "/spec/type") {
        "ClusterIP" | "NodePort" => or_else(&own.join(","), "<none>").to_owned(),
        "LoadBalancer" => {
            let ingress = list(object, "/status/loadBalancer/ingress").iter();
            let assigned: BTreeSet<&str> =
                ingress.map(|i| or_else(text(i, "/ip"), text(i, "/hostname"))).collect();
            let all: Vec<&str> = assigned.into_iter().filter(|a| !a.is_empty()).chain(own).collect();
            or_else(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => text(object, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(object: &Value) -> String {
    let one = |port: &Value| {
        let (number, node_port) = (number(port, "/port"), number(port, "/nodePort"));
        let protocol = or_else(text(port, "/protocol"), "TCP");
        if node_port > 0 {
            format!("{number}:{node_port}/{protocol}")
        } else {
            format!("{number}/{protocol}")
        }
    };
    list(object, "/spec/ports").iter().map(one).collect::<Vec<_>>().join(",")
}

pub(super) const ENDPOINTS: Printer = Printer {
    columns: &[NAME, ("Endpoints", "string", "", 0), AGE],
    cells: |object, now| vec![json!(name(object)), json!(endpoints(object)), json!(age(object, now))],
};

fn endpoints(object: &Value) -> String {
    let mut shown = Shown::default();
    for subset in list(object, "/subsets") {
        let ports = list(subset, "/ports");
        let addresses = || list(subset, "/addresses").iter().map(|a| text(a, "/ip"));
        if ports.is_empty() {
            addresses().for_each(|ip| shown.add(|| ip.to_owned()));
        }
        for port in ports {
            let port = number(port, "/port");
            for ip in addresses() {
                shown
                    .add(|| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") });
            }
        }
    }
    shown.finish("<none>")
}

/// The first few of a list, and how many more there are.
#[derive(Default)]
struct Shown {
    texts: Vec<String>,
    count: usize,
}

impl Shown {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.texts.len() < SHOWN {
            self.texts.push(text());
        }
    }

    fn finish(self, nothing: &str) -> String {
        let text = self.texts.join(",");
        match self.count {
            0 => nothing.to_owned(),
            count if count > SHOWN => format!("{text} + {} more...", count - SHOWN),
            _ => text,
        }
    }
}

pub(super) const ENDPOINT_SLICE: Printer = Printer {
    columns: &[
        NAME,
        ("AddressType", "string", "", 0),
        ("Ports", "string", "", 0),
        ("Endpoints", "string", "", 0),
        AGE,
    ],
    cells: |object, now| {
        let (mut ports, mut endpoints) = (Shown::default(), Shown::default());
        for port in list(object, "/ports") {
            ports.add(|| match port["port"].as_i64() {
                Some(number) => number.to_string(),
                None => or_else(text(port, "/name"), "*").to_owned(),
            });
        }
        for address in list(object, "/endpoints").iter().flat_map(|e| list(e, "/addresses")) {
            endpoints.add(|| address.as_str().unwrap_or_default().to_owned());
        }
        vec![
            json!(name(object)),
            json!(text(object, "/addressType")),
            json!(ports.finish("<unset>")),
            json!(endpoints.finish("<unset>")),
            json!(age(object, now)),
        ]
    },
};

pub(super) const SERVICE_CIDR: Printer = Printer {
    columns: &[NAME, ("CIDRs", "string", "", 0), AGE],
    cells: |object, now| {
        let cidrs: Vec<&str> = list(object, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
        vec![json!(name(object)), json!(cidrs.join(",")), json!(age(object, now))]
    },
};

pub(super) const IP_ADDRESS: Printer = Printer {
    columns: &[NAME, ("ParentRef", "string", "", 0), AGE],
    cells: |object, now| vec![json!(name(object)), json!(parent(object)), json!(age(object, now))],
};

fn parent(object: &Value) -> String {
    let Some(parent) = object.pointer("/spec/parentRef").filter(|p| p.is_object()) else {
        return "<none>".to_owned();
    };
    let (resource, group) = (text(parent, "/resource"), text(parent, "/group"));
    let mut shown =
        if group.is_empty() { resource.to_lowercase() } else { format!("{resource}.{group}").to_lowercase() };
    for part in [text(parent, "/namespace"), text(parent, "/name")].iter().filter(|p| !p.is_empty()) {
        shown.push('/');
        shown.push_str(part);
    }
    shown
}
