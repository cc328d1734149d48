//! Names of addresses: `in-addr.arpa` and `ip6.arpa`.

use super::{Apex, Reply, TTL_S, Zone};
use crate::wire::{Builder, Owner, rtype};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the labels before a reverse zone spell.
#[derive(Debug, PartialEq, Eq)]
enum Spelled {
    /// An address.
    Address(IpAddr),
    /// Too few labels for one, so far valid: a name that has names below it.
    Part,
    /// No address.
    Nothing,
}

impl Zone {
    /// The answer below one of the reverse zones; `labels` are those before it.
    pub(super) fn reverse<'z>(&'z self, apex: &'z Apex, labels: &[&[u8]], qtype: u16) -> Reply<'z> {
        let v6 = std::ptr::eq(apex, &self.ip6);
        match if v6 { spelled_v6(labels) } else { spelled_v4(labels) } {
            Spelled::Part => Reply::NoData(apex),
            Spelled::Nothing => self.foreign(apex),
            Spelled::Address(ip) => self.pointers(apex, ip, qtype),
        }
    }

    fn pointers<'z>(&'z self, apex: &'z Apex, ip: IpAddr, qtype: u16) -> Reply<'z> {
        let services = self.reverse.get(&ip).into_iter().flat_map(|names| names.iter());
        let names = services.filter_map(|name| Some(self.service_named(name)?.names_of(ip)));
        let names: Vec<_> = names.collect();
        // A cluster IP has one name, whatever endpoints say.
        let own = names.iter().find(|(own, _)| *own).map(std::slice::from_ref);
        let mut set = Builder::new(TTL_S);
        for name in own.unwrap_or(&names).iter().flat_map(|(_, names)| names) {
            set.name(Owner::Question, rtype::PTR, name);
        }
        match set.build() {
            set if set.is_empty() => self.foreign(apex),
            set if qtype == rtype::PTR => Reply::built(set, None),
            _ => Reply::NoData(apex),
        }
    }
}

fn spelled_v4(labels: &[&[u8]]) -> Spelled {
    let mut octets = [0; 4];
    if labels.len() > octets.len() {
        return Spelled::Nothing;
    }
    for (octet, label) in octets.iter_mut().zip(labels.iter().rev()) {
        let number = std::str::from_utf8(label).ok().and_then(|text| text.parse::<u8>().ok());
        match number.filter(|number| number.to_string().as_bytes() == *label) {
            Some(number) => *octet = number,
            None => return Spelled::Nothing,
        }
    }
    if labels.len() < 4 { Spelled::Part } else { Spelled::Address(Ipv4Addr::from(octets).into()) }
}

fn spelled_v6(labels: &[&[u8]]) -> Spelled {
    if labels.len() > 32 {
        return Spelled::Nothing;
    }
    let mut bits = 0_u128;
    for label in labels.iter().rev() {
        match label {
            [digit] if digit.is_ascii_hexdigit() => {
                let digit = char::from(*digit).to_digit(16).expect("a hexadecimal digit");
                bits = bits << 4 | u128::from(digit);
            }
            _ => return Spelled::Nothing,
        }
    }
    if labels.len() < 32 { Spelled::Part } else { Spelled::Address(Ipv6Addr::from(bits).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Vec<&[u8]> {
        name.split('.').map(str::as_bytes).collect()
    }

    #[test]
    fn addresses_are_read_backwards() {
        let is = |ip: &str| Spelled::Address(ip.parse().unwrap());
        for (name, expected) in [
            ("10.0.96.10", is("10.96.0.10")),
            ("0.96.10", Spelled::Part),
            ("1.10.0.96.10", Spelled::Nothing),
            ("256.0.96.10", Spelled::Nothing),
            ("010.0.96.10", Spelled::Nothing),
            ("x.10", Spelled::Nothing),
        ] {
            assert_eq!(spelled_v4(&labels(name)), expected, "{name}");
        }
        let one = format!("1.{}0.0.d.f", "0.".repeat(27));
        for (name, expected) in [
            (one.as_str(), is("fd00::1")),
            ("0.0.d.f", Spelled::Part),
            ("g.f", Spelled::Nothing),
            ("00.f", Spelled::Nothing),
        ] {
            assert_eq!(spelled_v6(&labels(name)), expected, "{name}");
        }
    }
}
