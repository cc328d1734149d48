//! Which endpoint has which slot, which Service which id: they stay where they are as long as they can.

use super::GroupKey;
use sealane_model::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

/// Puts `wanted` into slots 0 to n−1, leaving as many as possible where `old` has them.
///
/// A removed one leaves a hole, which the last slot's owner fills: few elements change, however many there are.
#[must_use]
pub fn place<T: Copy + Ord>(old: &[T], wanted: &BTreeSet<T>) -> Vec<T> {
    let len = wanted.len();
    let mut slots: Vec<Option<T>> = vec![None; len];
    let mut placed = BTreeSet::new();
    for (slot, there) in slots.iter_mut().zip(old) {
        if wanted.contains(there) && placed.insert(*there) {
            *slot = Some(*there);
        }
    }
    let mut rest = wanted.iter().filter(|one| !placed.contains(*one)).copied();
    slots.into_iter().filter_map(|slot| slot.or_else(|| rest.next())).collect()
}

/// Numbers in use, the lowest free one first.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    used: BTreeSet<u32>,
    /// Taken by what the kernel holds, until it is known whose they are.
    reserved: BTreeSet<u32>,
    /// All below are used or reserved.
    floor: u32,
}

impl Numbers {
    /// Numbers above 0 of which `reserved` are only given out by [`Numbers::take`].
    pub(super) fn new(reserved: BTreeSet<u32>) -> Self {
        Self { used: BTreeSet::new(), reserved, floor: 1 }
    }

    /// Takes this very number, if nobody has it.
    pub(super) fn take(&mut self, number: u32) -> bool {
        self.used.insert(number)
    }

    /// Takes the lowest free number.
    pub(super) fn next(&mut self) -> u32 {
        while self.used.contains(&self.floor) || self.reserved.contains(&self.floor) {
            self.floor += 1;
        }
        self.used.insert(self.floor);
        self.floor
    }

    /// Gives a number back.
    pub(super) fn free(&mut self, number: u32) {
        self.used.remove(&number);
        self.floor = self.floor.min(number.max(1));
    }

    /// Whoever wanted a reserved number has taken it.
    pub(super) fn release_reserved(&mut self) {
        self.reserved.clear();
        self.floor = 1;
    }
}

/// Numbers of the endpoints under affinity, the same after a restart.
///
/// Remembered clients refer to a number for as long as the time-out is, so it must not name another endpoint meanwhile: it
/// is a hash of what it names, and the next free one where two collide.
#[derive(Debug, Default)]
pub(super) struct EndpointNumbers(BTreeMap<u32, EndpointOwner>);

/// An endpoint under affinity: whose, and where.
type EndpointOwner = ((ServiceName, GroupKey), SocketAddrV4);

impl EndpointNumbers {
    /// The number that an endpoint of this group has or would be given.
    pub(super) fn of(&self, whose: &(ServiceName, GroupKey), address: SocketAddrV4) -> u32 {
        let (name, key) = whose;
        let text = format!("{}/{} {key:?} {address}", name.namespace, name.name);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
        let mut number = u32::from_be_bytes([a ^ e, b ^ f, c ^ g, d ^ h]);
        while self.0.get(&number).is_some_and(|(other, at)| (other, *at) != (whose, address)) {
            number = number.wrapping_add(1);
        }
        number
    }

    /// Gives it that number.
    pub(super) fn take(&mut self, whose: &(ServiceName, GroupKey), address: SocketAddrV4) -> u32 {
        let number = self.of(whose, address);
        self.0.insert(number, (whose.clone(), address));
        number
    }

    /// Gives a number back.
    pub(super) fn free(&mut self, number: u32) {
        self.0.remove(&number);
    }
}
