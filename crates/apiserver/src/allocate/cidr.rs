//! The ranges of ClusterIPs: the server's own and those of the ServiceCIDR objects.

use super::band::Band;
use crate::registry::key::resource_prefix;
use crate::status::ApiError;
use crate::strategy::AllocateContext;
use crate::strategy::access::{at, has, list, strings, text};
use crate::strategy::format::parse_cidr;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family, named as in `ipFamilies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `IPv4`.
    V4,
    /// `IPv6`.
    V6,
}

impl Family {
    pub(super) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// One range.
#[derive(Debug, Clone)]
pub(super) struct Cidr {
    pub(super) family: Family,
    /// The addresses that may be claimed, as numbers.
    pub(super) band: Band,
}

pub(super) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Cidr {
    /// The range of a prefix without its network address and, in IPv4, its broadcast address. The static band is the
    /// low min(max(16, size/16), 256) addresses; a range of 16 addresses or fewer has none.
    pub(super) fn new(address: IpAddr, length: u8) -> Self {
        let family = Family::of(address);
        let bits = if family == Family::V4 { 32 } else { 128 };
        let host_bits = u32::from(bits - length.min(bits));
        let mask = 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        let network = number(address) & !mask;
        let first = network.saturating_add(1);
        let last = (network | mask).saturating_sub(u128::from(family == Family::V4));
        let size = mask.saturating_add(1);
        let offset = if size <= 16 { 0 } else { (size / 16).clamp(16, 256) };
        Self { family, band: Band { first, dynamic: first + offset, last } }
    }

    pub(super) fn ip(&self, number: u128) -> IpAddr {
        match self.family {
            Family::V4 => {
                Ipv4Addr::from_bits(u32::try_from(number).expect("numbers of an IPv4 range fit 32 bits"))
                    .into()
            }
            Family::V6 => Ipv6Addr::from_bits(number).into(),
        }
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.family == Family::of(ip) && (self.band.first..=self.band.last).contains(&number(ip))
    }
}

/// All ranges, the server's own first.
pub(super) struct Pool {
    pub(super) cidrs: Vec<Cidr>,
    own: Vec<Family>,
}

impl Pool {
    /// Reads the ServiceCIDRs of the store; one that is being deleted or is not ready gives no addresses.
    pub(super) fn read(cx: &AllocateContext<'_>) -> Result<Self, ApiError> {
        let mut own: Vec<Family> = cx.config.service_cidrs.iter().map(|(ip, _)| Family::of(*ip)).collect();
        own.dedup();
        let mut prefixes = cx.config.service_cidrs.clone();
        let range = cx
            .store
            .range(&resource_prefix("networking.k8s.io", "servicecidrs"), None, 0, None)
            .map_err(ApiError::internal)?;
        for entry in range.entries {
            let Ok(object) = serde_json::from_slice::<Value>(&entry.value) else { continue };
            if !is_ready(&object) {
                continue;
            }
            for cidr in strings(at(&object, &["spec"]), "cidrs").into_iter().filter_map(parse_cidr) {
                if !prefixes.contains(&cidr) {
                    prefixes.push(cidr);
                }
            }
        }
        Ok(Self { cidrs: prefixes.into_iter().map(|(ip, length)| Cidr::new(ip, length)).collect(), own })
    }

    /// The families of the cluster, the default one first: those that the server was started with.
    pub(super) fn families(&self) -> Vec<Family> {
        self.own.clone()
    }
}

fn is_ready(object: &Value) -> bool {
    let conditions = list(at(object, &["status"]), "conditions");
    let not_ready = conditions.iter().any(|c| text(c, "type") == "Ready" && text(c, "status") != "True");
    !not_ready && !has(at(object, &["metadata"]), "deletionTimestamp")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (prefix, first, first drawn, last)
    #[test]
    fn bands() {
        for (cidr, first, dynamic, last) in [
            ("10.96.0.0/16", "10.96.0.1", "10.96.1.1", "10.96.255.254"),
            ("10.96.0.0/12", "10.96.0.1", "10.96.1.1", "10.111.255.254"),
            ("192.168.1.0/24", "192.168.1.1", "192.168.1.17", "192.168.1.254"),
            ("192.168.1.0/28", "192.168.1.1", "192.168.1.1", "192.168.1.14"),
            ("fd00:1::/112", "fd00:1::1", "fd00:1::101", "fd00:1::ffff"),
            ("fd00:1::/108", "fd00:1::1", "fd00:1::101", "fd00:1::f:ffff"),
        ] {
            let (ip, length) = parse_cidr(cidr).unwrap();
            let range = Cidr::new(ip, length);
            let shown =
                [range.band.first, range.band.dynamic, range.band.last].map(|n| range.ip(n).to_string());
            assert_eq!(shown, [first, dynamic, last], "{cidr}");
        }
    }
}
