//! What a kernel already holds, read back: ids, slots and affinity classes that need not change.

use super::Front;
use super::rules::{CLASS_AFFINITY, ID_SHIFT};
use sealane_model::Protocol;
use sealane_nft::{Data, Set, SetKind, Table, Value, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

/// Numbers found in a table of ours.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    /// The id that each front end leads to.
    pub(super) ids: BTreeMap<Front, u32>,
    /// The endpoints of each id, by slot.
    pub(super) slots: BTreeMap<u32, BTreeMap<u32, SocketAddrV4>>,
    /// Ids that no front end leads to, by their endpoints.
    pub(super) orphans: BTreeMap<BTreeSet<SocketAddrV4>, Vec<u32>>,
    /// The numbers of the endpoints of each id under affinity.
    numbers: BTreeMap<u32, BTreeSet<u32>>,
    /// Classes of affinity chains by (width, time-out).
    pub(super) affinity: BTreeMap<(u32, u32), u32>,
}

impl Adopted {
    /// Reads a table; what is not as we would write it is passed over.
    pub(super) fn read(table: &Table) -> Self {
        let mut adopted = Self::default();
        for name in ["services", "nodeports"] {
            for (key, data) in rows(table, name) {
                if let (Some(front), [Value::Mark(mark)]) = (front(&key), &data[..]) {
                    adopted.ids.insert(front, mark >> ID_SHIFT);
                }
            }
        }
        adopted.read_slots(table);
        let led_to: BTreeSet<u32> = adopted.ids.values().copied().collect();
        for (id, slots) in adopted.slots.iter().filter(|(id, _)| !led_to.contains(id)) {
            adopted.orphans.entry(slots.values().copied().collect()).or_default().push(*id);
        }
        adopted.read_affinity(table);
        adopted
    }

    /// The endpoints that a front end led to.
    pub(super) fn endpoints(&self, front: Front) -> Option<BTreeSet<SocketAddrV4>> {
        let slots = self.slots.get(self.ids.get(&front)?)?;
        Some(slots.values().copied().collect())
    }

    /// Takes the id of a group that no front end leads to: one with these endpoints, under affinity with this number for
    /// one of them.
    pub(super) fn take_orphan(
        &mut self,
        endpoints: &BTreeSet<SocketAddrV4>,
        number: Option<u32>,
    ) -> Option<u32> {
        let Self { orphans, numbers, .. } = self;
        let alike = |id: &u32| match (numbers.get(id), number) {
            (Some(numbers), Some(number)) => numbers.contains(&number),
            (None, None) => true,
            _ => false,
        };
        let ids = orphans.get_mut(endpoints)?;
        let found = ids.iter().position(alike)?;
        Some(ids.swap_remove(found))
    }

    /// All ids in use.
    pub(super) fn all_ids(&self) -> BTreeSet<u32> {
        self.ids.values().chain(self.slots.keys()).copied().collect()
    }

    fn read_slots(&mut self, table: &Table) {
        let endpoints: BTreeMap<u32, SocketAddrV4> = rows(table, "endpoints")
            .filter_map(|(key, data)| match key[..] {
                [Value::Mark(number)] => Some((number, address(&data)?)),
                _ => None,
            })
            .collect();
        for (key, data) in rows(table, "slots") {
            if let ([Value::Mark(id), Value::Mark(_)], [Value::Mark(number)]) = (&key[..], &data[..]) {
                self.numbers.entry(id >> ID_SHIFT).or_default().insert(*number);
            }
        }
        let direct = rows(table, "backends").map(|(key, data)| (key, address(&data)));
        let by_number = rows(table, "slots").map(|(key, data)| match data[..] {
            [Value::Mark(number)] => (key, endpoints.get(&number).copied()),
            _ => (key, None),
        });
        for (key, address) in direct.chain(by_number) {
            if let ([Value::Mark(id), Value::Mark(slot)], Some(address)) = (&key[..], address) {
                self.slots.entry(id >> ID_SHIFT).or_default().insert(*slot, address);
            }
        }
    }

    fn read_affinity(&mut self, table: &Table) {
        let Some(class) = table.sets.get("class") else { return };
        for (key, data) in &class.elements {
            let Data::Verdict(Verdict::Goto(chain)) = data else { continue };
            let Some([Value::Mark(number)]) = key.values(&class.key).as_deref().map(|v| [v[0]]) else {
                continue;
            };
            let parts = chain.strip_prefix("aff-").and_then(|rest| rest.split_once('-'));
            let Some((Ok(width), Ok(timeout))) = parts.map(|(w, t)| (w.parse(), t.parse())) else { continue };
            if number >= CLASS_AFFINITY {
                self.affinity.insert((width, timeout), number);
            }
        }
    }
}

/// The typed elements of a map.
fn rows<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = (Vec<Value>, Vec<Value>)> + use<'a> {
    table.sets.get(name).into_iter().flat_map(|set: &Set| {
        set.elements.iter().filter_map(|(key, data)| match (data, &set.kind) {
            (Data::Bytes(bytes), SetKind::Map(fields)) => {
                Some((key.values(&set.key)?, bytes.values(fields)?))
            }
            _ => None,
        })
    })
}

fn front(key: &[Value]) -> Option<Front> {
    let protocol = |number: u8| match number {
        6 => Some(Protocol::Tcp),
        17 => Some(Protocol::Udp),
        132 => Some(Protocol::Sctp),
        _ => None,
    };
    match key {
        [Value::Ipv4(ip), Value::Proto(number), Value::Port(port)] => {
            Some(Front::Address(*ip, protocol(*number)?, *port))
        }
        [Value::Proto(number), Value::Port(port)] => Some(Front::NodePort(protocol(*number)?, *port)),
        _ => None,
    }
}

fn address(data: &[Value]) -> Option<SocketAddrV4> {
    match data {
        [Value::Ipv4(ip), Value::Port(port)] => Some(SocketAddrV4::new(*ip, *port)),
        _ => None,
    }
}
