//! What is asked of upstreams.

use crate::wire::{CLASS_IN, HEADER, Name, rtype};

/// The UDP payload that is let in: below what fragments on any link (DNS flag day 2020).
const PAYLOAD: u16 = 1_232;
const RECURSION_DESIRED: u8 = 1;

/// A question for other servers: what an answer is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// In lower case.
    pub(crate) name: Name,
    pub(crate) qtype: u16,
    /// The client wants signatures.
    pub(crate) dnssec_ok: bool,
}

impl Question {
    /// The question section: name, type, class.
    pub(super) fn section(&self) -> Vec<u8> {
        let mut bytes = self.name.wire().to_vec();
        bytes.extend_from_slice(&self.qtype.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        bytes
    }

    /// A query; `edns` is left out for servers that do not understand it (RFC 6891 §6.2.2).
    pub(super) fn query(&self, id: u16, edns: bool) -> Vec<u8> {
        let mut packet = Vec::with_capacity(HEADER + self.name.wire().len() + 15);
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(&[RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        packet.extend_from_slice(&self.section());
        if edns {
            packet.push(0);
            packet.extend_from_slice(&rtype::OPT.to_be_bytes());
            packet.extend_from_slice(&PAYLOAD.to_be_bytes());
            packet.extend_from_slice(&[0, 0, if self.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
        }
        packet
    }
}
