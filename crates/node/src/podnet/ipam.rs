//! Which Pod has which address of the node's range. Pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::Error;

/// An IPv4 range, such as `10.244.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// The first address of the range.
    pub base: Ipv4Addr,
    /// The prefix length, 0–32.
    pub length: u8,
}

impl Cidr {
    /// How many addresses it has.
    #[must_use]
    pub fn size(self) -> u64 {
        1 << (32 - u32::from(self.length.min(32)))
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u64::from(u32::from(address)).wrapping_sub(u64::from(u32::from(self.base))) < self.size()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not an IPv4 range such as 10.244.0.0/24");
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let length: u8 = length.parse().ok().filter(|n| *n <= 32).ok_or_else(bad)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Ok(Self { base: Ipv4Addr::from(u32::from(address) & mask), length })
    }
}

/// The addresses of one range and who has them.
///
/// Addresses are given in a circle, so that one that was just freed comes last: a stale connection or rule elsewhere
/// should not meet a new Pod.
#[derive(Debug, Clone)]
pub struct Ipam {
    cidr: Cidr,
    taken: BTreeMap<Ipv4Addr, String>,
    /// Offset of the next address to try.
    next: u64,
}

/// Offsets 0 (the network) and 1 (by custom the gateway) are never given.
const FIRST: u64 = 2;

impl Ipam {
    /// A range of which nothing is taken.
    #[must_use]
    pub fn new(cidr: Cidr) -> Self {
        Self { cidr, taken: BTreeMap::new(), next: FIRST }
    }

    /// Records that a Pod has an address already. Addresses outside the range are kept out of harm's way too.
    pub fn claim(&mut self, address: IpAddr, uid: &str) {
        let IpAddr::V4(address) = address else { return };
        self.taken.insert(address, uid.to_owned());
        if self.cidr.contains(address) {
            let offset = u64::from(u32::from(address) - u32::from(self.cidr.base));
            self.next = self.next.max(offset + 1);
        }
    }

    /// The address of Pod `uid`: the one it has, or a free one.
    ///
    /// # Errors
    /// When none is free.
    pub fn allocate(&mut self, uid: &str) -> Result<Ipv4Addr, Error> {
        if let Some((address, _)) = self.taken.iter().find(|(_, owner)| *owner == uid) {
            return Ok(*address);
        }
        let last = self.cidr.size().saturating_sub(1);
        let count = last.saturating_sub(FIRST);
        for step in 0..count {
            let offset = FIRST + (self.next - FIRST + step) % count;
            let Ok(offset32) = u32::try_from(offset) else { break };
            let address = Ipv4Addr::from(u32::from(self.cidr.base) + offset32);
            if let Entry::Vacant(free) = self.taken.entry(address) {
                free.insert(uid.to_owned());
                self.next = offset + 1;
                return Ok(address);
            }
        }
        Err(Error::Exhausted(self.cidr))
    }

    /// Frees what Pod `uid` has.
    pub fn release(&mut self, uid: &str) {
        self.taken.retain(|_, owner| owner != uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipam(range: &str) -> Ipam {
        Ipam::new(range.parse().expect("a range"))
    }

    #[test]
    fn ranges_are_read_and_masked() {
        for (text, shown, size) in [
            ("10.244.3.7/24", "10.244.3.0/24", 256),
            ("0.0.0.0/0", "0.0.0.0/0", 1 << 32),
            ("1.2.3.4/32", "1.2.3.4/32", 1),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!((cidr.to_string().as_str(), cidr.size()), (shown, size));
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/64", "10.0.0/8"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pod_keeps_its_address_and_no_two_share_one() {
        let mut ipam = ipam("10.0.0.0/29");
        let first = ipam.allocate("a").unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(ipam.allocate("a").unwrap(), first);
        let rest: Vec<_> = ["b", "c", "d", "e"].map(|u| ipam.allocate(u).unwrap().octets()[3]).to_vec();
        assert_eq!(rest, [3, 4, 5, 6]);
        assert!(matches!(ipam.allocate("f"), Err(Error::Exhausted(_))));
    }

    #[test]
    fn a_freed_address_comes_last() {
        let mut ipam = ipam("10.0.0.0/29");
        ipam.allocate("a").unwrap();
        ipam.release("a");
        let order: Vec<_> = (0..5).map(|i| ipam.allocate(&i.to_string()).unwrap().octets()[3]).collect();
        assert_eq!(order, [3, 4, 5, 6, 2]);
    }

    #[test]
    fn recovered_addresses_are_not_given_again() {
        let mut ipam = ipam("10.0.0.0/29");
        for (address, uid) in [("10.0.0.2", "a"), ("10.0.0.4", "b"), ("192.168.0.1", "old")] {
            ipam.claim(address.parse().unwrap(), uid);
        }
        assert_eq!(ipam.allocate("b").unwrap().octets()[3], 4);
        let order: Vec<_> = ["c", "d", "e"].map(|u| ipam.allocate(u).unwrap().octets()[3]).to_vec();
        assert_eq!(order, [5, 6, 3]);
    }

    #[test]
    fn tiny_ranges_are_exhausted_not_wrapped() {
        for range in ["10.0.0.0/32", "10.0.0.0/31", "255.255.255.254/31"] {
            assert!(ipam(range).allocate("a").is_err(), "{range}");
        }
    }
}
