//! The fold of all Services' plans into the table's elements.
//!
//! One Service's change touches its own elements only. Ids and slots depend on history (they stay where they are), what
//! they mean does not: after any sequence of changes the table says the same as one made from nothing.

use super::adopt::Adopted;
use super::claims::{Claims, Shared};
use super::edits::{Edits, front_key, members, needed, slot_key};
use super::placement::{EndpointNumbers, Numbers, place};
use super::rules::{
    CLASS_AFFINITY, CLASS_DROP, CLASS_REJECT, ID_SHIFT, affinity_chain, affinity_chain_name, balance_class,
    skeleton, width,
};
use super::stale::{group_of, stale_flows};
use super::{Finding, Front, FrontTarget, Group, GroupKey, Options, ServicePlan, Spread, StaleFlow};
use sealane_model::ServiceName;
use sealane_nft::{Bytes, Change, Data, Name, Rule, Table, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

/// What one change of a Service asks of the kernel.
#[derive(Debug, Default)]
pub struct Update {
    /// Changes of the table, in order.
    pub changes: Vec<Change>,
    /// Conntrack entries to remove after that.
    pub stale: Vec<StaleFlow>,
}

/// A group's place in the table.
#[derive(Debug, Default)]
struct Placed {
    id: u32,
    slots: Vec<SocketAddrV4>,
    /// The numbers of endpoints under affinity.
    numbers: BTreeMap<SocketAddrV4, u32>,
    class: u32,
}

/// The table as it shall be, and where everything is in it.
#[derive(Debug)]
pub struct Layout {
    options: Options,
    table: Table,
    plans: BTreeMap<ServiceName, ServicePlan>,
    placed: BTreeMap<(ServiceName, GroupKey), Placed>,
    ids: Numbers,
    claims: Claims,
    shared: Shared,
    affinity_classes: BTreeMap<(u32, u32), u32>,
    endpoint_numbers: EndpointNumbers,
    adopted: Adopted,
}

impl Layout {
    /// A table without Services. Ids, slots and classes are taken over from `there`, what the kernel holds, as the
    /// Services to which they belong are set; call [`Layout::settle`] after the last of those.
    #[must_use]
    pub fn new(options: Options, there: Option<&Table>) -> Self {
        let adopted = there.map(Adopted::read).unwrap_or_default();
        Self {
            table: skeleton(&options),
            options,
            plans: BTreeMap::new(),
            placed: BTreeMap::new(),
            ids: Numbers::new(adopted.all_ids()),
            claims: Claims::default(),
            shared: Shared::default(),
            affinity_classes: BTreeMap::new(),
            endpoint_numbers: EndpointNumbers::default(),
            adopted,
        }
    }

    /// Says who wants which front ends before the first Service is set, so that a Service takes over the id of those
    /// that it has, not of those that it only wants.
    pub fn claim(&mut self, name: &ServiceName, plan: &ServicePlan) {
        for (front, plan) in &plan.fronts {
            self.claims.add(*front, name, *plan);
        }
    }

    /// All that was there has found its owner; the rest is free. Returns the flows of front ends that nobody has any
    /// more.
    pub fn settle(&mut self) -> Vec<StaleFlow> {
        let adopted = std::mem::take(&mut self.adopted);
        self.ids.release_reserved();
        let gone = adopted.ids.keys().filter(|front| self.claims.holder(**front).is_none());
        gone.flat_map(|front| stale_flows(*front, adopted.endpoints(*front).as_ref(), None)).collect()
    }

    /// The table as it shall be.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Services whose front ends are another's.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.claims.findings()
    }

    /// Replaces the plan of one Service; `None` removes it.
    pub fn set_service(&mut self, name: &ServiceName, plan: Option<ServicePlan>) -> Update {
        let new = plan.unwrap_or_default();
        let old = self.plans.remove(name).unwrap_or_default();
        if old == new {
            if new != ServicePlan::default() {
                self.plans.insert(name.clone(), new);
            }
            return Update::default();
        }
        let mut update = Update::default();
        let mut edits = Edits::new();
        self.share(&old, &new, &mut edits);
        let keys: BTreeSet<GroupKey> = old.groups.keys().chain(new.groups.keys()).copied().collect();
        for key in keys {
            let fronts = new.fronts.iter().filter(|(_, plan)| plan.target == FrontTarget::Group(key));
            let fronts: Vec<Front> = fronts.map(|(front, _)| *front).collect();
            self.set_group((name, key), new.groups.get(&key), &fronts, &mut edits, &mut update.changes);
        }
        let fronts: BTreeSet<Front> = old.fronts.keys().chain(new.fronts.keys()).copied().collect();
        for front in fronts {
            self.set_front(front, name, (&old, &new), &mut edits);
            let before = endpoints(&old, front).cloned().or_else(|| self.adopted.endpoints(front));
            update.stale.extend(stale_flows(front, before.as_ref(), endpoints(&new, front)));
        }
        self.commit(edits, &mut update.changes);
        if new != ServicePlan::default() {
            self.plans.insert(name.clone(), new);
        }
        update
    }

    fn share(&mut self, old: &ServicePlan, new: &ServicePlan, edits: &mut Edits) {
        let (old, new) = (members(old), members(new));
        for (set, key) in &new {
            self.shared.add(set, *key);
        }
        for (set, key) in &old {
            self.shared.remove(set, *key);
        }
        for (set, key) in old.into_iter().chain(new) {
            edits.insert((set, key), self.shared.contains(set, key).then_some(Data::None));
        }
    }

    // --- groups

    fn set_group(
        &mut self,
        (name, key): (&ServiceName, GroupKey),
        group: Option<&Group>,
        fronts: &[Front],
        edits: &mut Edits,
        changes: &mut Vec<Change>,
    ) {
        let whose = (name.clone(), key);
        let mut old = self.placed.remove(&whose);
        if let Some(old) = &mut old {
            self.erase(old, edits);
        }
        let Some(group) = group else {
            if let Some(old) = old {
                self.ids.free(old.id);
            }
            return;
        };
        let mut placed = old.unwrap_or_else(|| self.adopt(&whose, group, fronts));
        placed.slots = place(&placed.slots, &group.endpoints);
        placed.class = self.class(group, changes);
        self.write(&whose, group, &mut placed, edits);
        self.placed.insert(whose, placed);
    }

    /// The place that the kernel's table has for these front ends, or a new one. A group whose front ends are all
    /// another's is known by its endpoints.
    fn adopt(&mut self, whose: &(ServiceName, GroupKey), group: &Group, fronts: &[Front]) -> Placed {
        let held =
            fronts.iter().filter(|front| self.claims.holder(**front).is_some_and(|(who, _)| *who == whose.0));
        let known: Vec<u32> = held.filter_map(|front| self.adopted.ids.get(front)).copied().collect();
        let orphan = known.is_empty().then(|| {
            let first = group.endpoints.first().filter(|_| group.spread != Spread::Random);
            let number = first.map(|address| self.endpoint_numbers.of(whose, *address));
            self.adopted.take_orphan(&group.endpoints, number)
        });
        for id in known.into_iter().chain(orphan.flatten()) {
            if id > 0 && self.ids.take(id) {
                let slots =
                    self.adopted.slots.get(&id).into_iter().flat_map(BTreeMap::values).copied().collect();
                return Placed { id, slots, ..Placed::default() };
            }
        }
        Placed { id: self.ids.next(), ..Placed::default() }
    }

    /// Marks all elements of a group as gone; what is written after that is there again.
    fn erase(&mut self, old: &mut Placed, edits: &mut Edits) {
        let slots = if old.class >= CLASS_AFFINITY { "slots" } else { "backends" };
        for slot in 0..u32::try_from(old.slots.len()).unwrap_or(u32::MAX) {
            edits.insert((slots, slot_key(old.id, slot)), None);
        }
        for number in std::mem::take(&mut old.numbers).into_values() {
            self.endpoint_numbers.free(number);
            edits.insert(("endpoints", Bytes::key(&[Value::Mark(number)])), None);
        }
    }

    fn write(
        &mut self,
        whose: &(ServiceName, GroupKey),
        group: &Group,
        placed: &mut Placed,
        edits: &mut Edits,
    ) {
        for (slot, address) in (0_u32..).zip(&placed.slots) {
            let slot = slot_key(placed.id, slot);
            let to = Data::of(&[Value::Ipv4(*address.ip()), Value::Port(address.port())]);
            if group.spread == Spread::Random {
                edits.insert(("backends", slot), Some(to));
                continue;
            }
            let number = self.endpoint_numbers.take(whose, *address);
            placed.numbers.insert(*address, number);
            edits.insert(("slots", slot), Some(Data::of(&[Value::Mark(number)])));
            edits.insert(("endpoints", Bytes::key(&[Value::Mark(number)])), Some(to));
        }
    }

    fn class(&mut self, group: &Group, changes: &mut Vec<Change>) -> u32 {
        let count = u32::try_from(group.endpoints.len()).unwrap_or(u32::MAX);
        let width = width(count, &self.options);
        match (count, group.drop_when_empty, group.spread) {
            (0, true, _) => CLASS_DROP,
            (0, false, _) => CLASS_REJECT,
            (_, _, Spread::Random) => balance_class(width, &self.options),
            (_, _, Spread::Affinity { timeout_s }) => self.affinity_class(width, timeout_s, changes),
        }
    }

    /// Affinity chains come when they are first needed and stay: removing one walks all the maps it binds.
    fn affinity_class(&mut self, width: u32, timeout_s: u32, changes: &mut Vec<Change>) -> u32 {
        if let Some(class) = self.affinity_classes.get(&(width, timeout_s)) {
            return *class;
        }
        let taken: BTreeSet<u32> =
            self.affinity_classes.values().chain(self.adopted.affinity.values()).copied().collect();
        let lowest = || (CLASS_AFFINITY..).find(|class| !taken.contains(class)).unwrap_or(CLASS_AFFINITY);
        let class = self.adopted.affinity.get(&(width, timeout_s)).copied().unwrap_or_else(lowest);
        self.affinity_classes.insert((width, timeout_s), class);
        let name: Name = affinity_chain_name(width, timeout_s).into();
        let rules = affinity_chain(width, timeout_s, &self.options).into_iter();
        let mut new = vec![Change::AddChain { name: name.clone(), base: None }];
        new.extend(rules.map(|exprs| Change::AddRule { chain: name.clone(), rule: Rule { exprs } }));
        let element = (Bytes::key(&[Value::Mark(class)]), Data::goto(&name));
        new.push(Change::AddElements { set: "class".into(), elements: vec![element] });
        self.mirror(&new);
        changes.extend(new);
        class
    }

    // --- front ends

    fn set_front(
        &mut self,
        front: Front,
        name: &ServiceName,
        (old, new): (&ServicePlan, &ServicePlan),
        edits: &mut Edits,
    ) {
        if let Some(plan) = old.fronts.get(&front) {
            self.claims.remove(front, name, plan.rank);
        }
        if let Some(plan) = new.fronts.get(&front) {
            self.claims.add(front, name, *plan);
        }
        let (map, masquerades, key) = front_key(front);
        let holder = self.claims.holder(front);
        let data = holder.map(|(service, plan)| match group_of(plan.target) {
            None => CLASS_DROP,
            Some(group) => {
                // A holder whose turn is yet to come has a place already: places are given before front ends.
                let placed = self.placed.get(&(service.clone(), group));
                placed.map_or(CLASS_REJECT, |placed| placed.id << ID_SHIFT | placed.class)
            }
        });
        let masquerade = holder.is_some_and(|(_, plan)| plan.masquerade);
        edits.insert((map, key), data.map(|mark| Data::of(&[Value::Mark(mark)])));
        edits.insert((masquerades, key), masquerade.then_some(Data::None));
    }

    // --- the table

    fn commit(&mut self, edits: Edits, changes: &mut Vec<Change>) {
        let new = needed(edits, &self.table);
        self.mirror(&new);
        changes.extend(new);
    }

    fn mirror(&mut self, changes: &[Change]) {
        for change in changes {
            self.table.apply(change).expect("changes are made from the mirror itself");
        }
    }
}

/// The endpoints behind a front end.
fn endpoints(plan: &ServicePlan, front: Front) -> Option<&BTreeSet<SocketAddrV4>> {
    let group = group_of(plan.fronts.get(&front)?.target)?;
    Some(&plan.groups.get(&group)?.endpoints)
}
