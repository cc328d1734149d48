//! The top of a zone: its SOA record.

use super::{Options, TTL_S};
use crate::wire::{Builder, Name, Owner, RecordSet, rtype};

/// Seconds after which secondaries refresh, retry and expire; there are none, but the record has them.
const REFRESH_RETRY_EXPIRE_S: [u32; 3] = [7_200, 1_800, 86_400];

/// A zone's name and its SOA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apex {
    pub(super) name: Name,
    /// With the name of the question as its owner.
    pub(super) soa: RecordSet,
}

impl Apex {
    pub(super) fn new(name: Name, options: &Options, serial: u32) -> Self {
        let of_domain =
            |labels: &[&[u8]]| options.domain.below(labels).unwrap_or_else(|| options.domain.clone());
        let (server, mailbox) = (of_domain(&[b"ns", b"dns"]), of_domain(&[b"hostmaster"]));
        let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE_S;
        let numbers = [serial, refresh, retry, expire, TTL_S].map(u32::to_be_bytes);
        let mut soa = Builder::new(TTL_S);
        soa.record(Owner::Question, rtype::SOA, &[server.wire(), mailbox.wire(), numbers.as_flattened()]);
        Self { name, soa: soa.build() }
    }
}
