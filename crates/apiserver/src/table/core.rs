//! Namespaces, Nodes, ConfigMaps, Secrets, ServiceAccounts, Events, Leases.

use super::{AGE, NAME, Printer, age, list, name, number, or_else, since, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const NAMESPACE: Printer = Printer {
    columns: &[NAME, ("Status", "string", "", 0), AGE],
    cells: |object, now| {
        vec![json!(name(object)), json!(text(object, "/status/phase")), json!(age(object, now))]
    },
};

pub(super) const NODE: Printer = Printer {
    columns: &[
        NAME,
        ("Status", "string", "", 0),
        ("Roles", "string", "", 0),
        AGE,
        ("Version", "string", "", 0),
        ("Internal-IP", "string", "", 1),
        ("External-IP", "string", "", 1),
        ("OS-Image", "string", "", 1),
        ("Kernel-Version", "string", "", 1),
        ("Container-Runtime", "string", "", 1),
    ],
    cells: |object, now| {
        let info =
            |what: &str| json!(or_else(text(object, &format!("/status/nodeInfo/{what}")), "<unknown>"));
        vec![
            json!(name(object)),
            json!(node_status(object)),
            json!(node_roles(object)),
            json!(age(object, now)),
            json!(text(object, "/status/nodeInfo/kubeletVersion")),
            json!(node_address(object, "InternalIP")),
            json!(node_address(object, "ExternalIP")),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion"),
        ]
    },
};

fn node_status(object: &Value) -> String {
    let ready = list(object, "/status/conditions").iter().find(|c| c["type"] == "Ready");
    let status = match ready.map(|c| text(c, "/status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    let cordoned = object["spec"]["unschedulable"] == true;
    if cordoned { format!("{status},SchedulingDisabled") } else { status.to_owned() }
}

fn node_roles(object: &Value) -> String {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    or_else(&roles.into_iter().collect::<Vec<_>>().join(","), "<none>").to_owned()
}

fn node_address<'a>(object: &'a Value, kind: &str) -> &'a str {
    list(object, "/status/addresses")
        .iter()
        .find(|a| a["type"] == kind)
        .map_or("<none>", |a| text(a, "/address"))
}

pub(super) const CONFIG_MAP: Printer = Printer {
    columns: &[NAME, ("Data", "integer", "", 0), AGE],
    cells: |object, now| {
        let count = members(&object["data"]) + members(&object["binaryData"]);
        vec![json!(name(object)), json!(count), json!(age(object, now))]
    },
};

pub(super) const SECRET: Printer = Printer {
    columns: &[NAME, ("Type", "string", "", 0), ("Data", "integer", "", 0), AGE],
    cells: |object, now| {
        vec![
            json!(name(object)),
            json!(text(object, "/type")),
            json!(members(&object["data"])),
            json!(age(object, now)),
        ]
    },
};

fn members(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

pub(super) const SERVICE_ACCOUNT: Printer = Printer {
    columns: &[NAME, ("Secrets", "integer", "", 0), AGE],
    cells: |object, now| {
        vec![json!(name(object)), json!(list(object, "/secrets").len()), json!(age(object, now))]
    },
};

pub(super) const LEASE: Printer = Printer {
    columns: &[NAME, ("Holder", "string", "", 0), AGE],
    cells: |object, now| {
        vec![json!(name(object)), json!(text(object, "/spec/holderIdentity")), json!(age(object, now))]
    },
};

/// Events of both groups: events.k8s.io calls the same things by other names.
pub(super) const EVENT: Printer = Printer {
    columns: &[
        ("Last Seen", "string", "", 0),
        ("Type", "string", "", 0),
        ("Reason", "string", "", 0),
        ("Object", "string", "", 0),
        ("Subobject", "string", "", 1),
        ("Source", "string", "", 1),
        ("Message", "string", "", 0),
        ("First Seen", "string", "", 1),
        ("Count", "integer", "", 1),
        ("Name", "string", "name", 1),
    ],
    cells: |object, now| {
        let either = |one: &str, other: &str| {
            let found = text(object, one).to_owned();
            if found.is_empty() { text(object, other).to_owned() } else { found }
        };
        let first_time = either("/firstTimestamp", "/deprecatedFirstTimestamp");
        let first = since(or_else(&first_time, text(object, "/eventTime")), now);
        let last_time = either("/lastTimestamp", "/deprecatedLastTimestamp");
        let mut last = if last_time.is_empty() { first.clone() } else { since(&last_time, now) };
        let mut count = number(object, "/count").max(number(object, "/deprecatedCount")).max(1);
        if object["series"].is_object() {
            last = since(text(object, "/series/lastObservedTime"), now);
            count = number(object, "/series/count");
        }
        let kind = either("/involvedObject/kind", "/regarding/kind").to_lowercase();
        let target = either("/involvedObject/name", "/regarding/name");
        let message = either("/message", "/note");
        vec![
            json!(last),
            json!(text(object, "/type")),
            json!(text(object, "/reason")),
            json!(if target.is_empty() { kind } else { format!("{kind}/{target}") }),
            json!(either("/involvedObject/fieldPath", "/regarding/fieldPath")),
            json!(event_source(object)),
            json!(message.trim()),
            json!(first),
            json!(count),
            json!(name(object)),
        ]
    },
};

fn event_source(object: &Value) -> String {
    let source = if object["source"].is_object() { &object["source"] } else { &object["deprecatedSource"] };
    let (mut component, mut host) = (text(source, "/component"), text(source, "/host"));
    if component.is_empty() {
        let controller = text(object, "/reportingComponent");
        component = or_else(controller, text(object, "/reportingController"));
        host = text(object, "/reportingInstance");
    }
    if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") }
}
