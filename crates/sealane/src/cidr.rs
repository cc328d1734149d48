//! IPv4 ranges of the command line: Service, Pod and node addresses.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 range, `address/prefix length`; the host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Cidr {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Cidr {
    /// The n-th address of the range; `None` when it lies outside.
    pub(crate) fn nth(self, n: u32) -> Option<Ipv4Addr> {
        let size = 1u64 << (32 - u32::from(self.prefix));
        (u64::from(n) < size).then(|| Ipv4Addr::from(u32::from(self.address) + n))
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        let shift = 32 - u32::from(self.prefix.min(other.prefix));
        shift == 32 || u32::from(self.address) >> shift == u32::from(other.address) >> shift
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text} is not an IPv4 range; write it like 10.96.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|p| (8..=30).contains(p))
            .ok_or_else(|| format!("{text}: the prefix length of a range is between 8 and 30"))?;
        let host_bits = u32::from(address) & (u32::MAX >> prefix);
        if host_bits != 0 {
            let base = Ipv4Addr::from(u32::from(address) - host_bits);
            return Err(format!("{text} has host bits set; the range is {base}/{prefix}"));
        }
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::Cidr;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_addresses_and_stops_at_the_end() {
        assert_eq!(cidr("10.96.0.0/16").nth(10).unwrap().to_string(), "10.96.0.10");
        assert_eq!(cidr("10.0.0.0/30").nth(3).unwrap().to_string(), "10.0.0.3");
        assert!(cidr("10.0.0.0/30").nth(4).is_none());
    }

    #[test]
    fn refuses_what_is_no_range_and_names_the_mend() {
        assert!("10.96.0.1/16".parse::<Cidr>().unwrap_err().contains("the range is 10.96.0.0/16"));
        for bad in ["10.96.0.0", "10.96.0/16", "10.96.0.0/33", "::/64", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sees_overlaps_both_ways() {
        assert!(cidr("10.0.0.0/8").overlaps(cidr("10.96.0.0/16")));
        assert!(cidr("10.96.0.0/16").overlaps(cidr("10.0.0.0/8")));
        assert!(!cidr("10.96.0.0/16").overlaps(cidr("10.97.0.0/16")));
    }
}
