//! Elements as they shall be, and the changes that make them so.

use super::rules::ID_SHIFT;
use super::{Front, ServicePlan, protocol_number};
use sealane_nft::{Bytes, Change, Data, Table, Value};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Elements by set and key; `None` shall not be there.
pub(super) type Edits = BTreeMap<(&'static str, Bytes), Option<Data>>;

/// The changes that a table needs, deletions first.
pub(super) fn needed(edits: Edits, table: &Table) -> Vec<Change> {
    let mut deletes: BTreeMap<&'static str, Vec<Bytes>> = BTreeMap::new();
    let mut adds: BTreeMap<&'static str, Vec<(Bytes, Data)>> = BTreeMap::new();
    for ((set, key), wanted) in edits {
        let there = table.sets.get(set).and_then(|set| set.elements.get(&key));
        if there == wanted.as_ref() {
            continue;
        }
        if there.is_some() {
            deletes.entry(set).or_default().push(key);
        }
        if let Some(data) = wanted {
            adds.entry(set).or_default().push((key, data));
        }
    }
    let deletes = deletes.into_iter().map(|(set, keys)| Change::DeleteElements { set: set.into(), keys });
    let adds = adds.into_iter().map(|(set, elements)| Change::AddElements { set: set.into(), elements });
    deletes.chain(adds).collect()
}

/// The key of a slot in `backends` and `slots`.
pub(super) fn slot_key(id: u32, slot: u32) -> Bytes {
    Bytes::key(&[Value::Mark(id << ID_SHIFT), Value::Mark(slot)])
}

/// A plan's members of sets that Services share.
pub(super) fn members(plan: &ServicePlan) -> Vec<(&'static str, Bytes)> {
    let one = |ip: &Ipv4Addr| Bytes::key(&[Value::Ipv4(*ip)]);
    let twice = |ip: &Ipv4Addr| Bytes::key(&[Value::Ipv4(*ip), Value::Ipv4(*ip)]);
    let hairpins = plan.hairpins.iter().map(|ip| ("hairpin", twice(ip)));
    let cluster_ips = plan.cluster_ips.iter().map(|ip| ("cluster_ips", one(ip)));
    hairpins.chain(cluster_ips).chain(plan.pings.iter().map(|ip| ("ping_ips", one(ip)))).collect()
}

/// The map and the masquerading set of a front end, and its key in both.
pub(super) fn front_key(front: Front) -> (&'static str, &'static str, Bytes) {
    match front {
        Front::Address(ip, protocol, port) => {
            let proto = Value::Proto(protocol_number(protocol));
            ("services", "masq_fronts", Bytes::key(&[Value::Ipv4(ip), proto, Value::Port(port)]))
        }
        Front::NodePort(protocol, port) => {
            let proto = Value::Proto(protocol_number(protocol));
            ("nodeports", "masq_nodeports", Bytes::key(&[proto, Value::Port(port)]))
        }
    }
}
