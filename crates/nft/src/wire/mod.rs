//! nf_tables messages over netlink: changes as bytes, and a dump of the kernel as a table.
//!
//! Sans-I/O: bytes in, bytes out. Attribute numbers are those of `linux/netfilter/nf_tables.h`.

mod attr;
mod batch;
mod decode;
mod expr_decode;
mod expr_encode;

pub use attr::{Attr, Message, Writer, attributes, messages};
pub use batch::{Batch, encode};
pub use decode::{Reader, chains_request, dump_request, generation, generation_request};

/// `NFNL_SUBSYS_NFTABLES << 8`.
pub(crate) const SUBSYSTEM: u16 = 10 << 8;

/// Message numbers below [`SUBSYSTEM`].
pub(crate) mod msg {
    pub(crate) const NEW_TABLE: u16 = 0;
    pub(crate) const GET_TABLE: u16 = 1;
    pub(crate) const DEL_TABLE: u16 = 2;
    pub(crate) const NEW_CHAIN: u16 = 3;
    pub(crate) const GET_CHAIN: u16 = 4;
    pub(crate) const DEL_CHAIN: u16 = 5;
    pub(crate) const NEW_RULE: u16 = 6;
    pub(crate) const GET_RULE: u16 = 7;
    pub(crate) const DEL_RULE: u16 = 8;
    pub(crate) const NEW_SET: u16 = 9;
    pub(crate) const GET_SET: u16 = 10;
    pub(crate) const DEL_SET: u16 = 11;
    pub(crate) const NEW_SETELEM: u16 = 12;
    pub(crate) const GET_SETELEM: u16 = 13;
    pub(crate) const DEL_SETELEM: u16 = 14;
    pub(crate) const NEW_GEN: u16 = 15;
    pub(crate) const GET_GEN: u16 = 16;
}

/// Netlink flags.
pub(crate) mod flag {
    pub(crate) const REQUEST: u16 = 0x1;
    pub(crate) const ACK: u16 = 0x4;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
}

/// Bits of `NFTA_SET_FLAGS`.
pub(crate) mod set_flag {
    pub(crate) const ANONYMOUS: u32 = 0x1;
    pub(crate) const MAP: u32 = 0x8;
    pub(crate) const TIMEOUT: u32 = 0x10;
    pub(crate) const EVAL: u32 = 0x20;
}

/// `NFT_DATA_VERDICT` as the type of a map's data.
pub(crate) const VERDICT_TYPE: u32 = 0xffff_ff00;

impl crate::Family {
    /// `NFPROTO_*`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }
}

impl crate::Hook {
    /// `NF_INET_*`, which is also the order of declaration.
    pub(crate) const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    /// `NF_INET_*`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

impl crate::Field {
    /// nft's own number of the type: the kernel only stores it, for `nft list ruleset`.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Proto => 12,
            Self::Port => 13,
            Self::Mark => 19,
        }
    }

    /// The number of a concatenation: six bits a field.
    pub(crate) fn concat(fields: &[Self]) -> u32 {
        fields.iter().fold(0, |number, field| number << 6 | field.number())
    }

    /// The fields of a concatenation; `None` for types that we have no use for.
    pub(crate) fn split(mut number: u32) -> Option<Vec<Self>> {
        let mut fields = Vec::new();
        while number != 0 {
            fields.push(Self::ALL.into_iter().find(|field| field.number() == number & 0x3f)?);
            number >>= 6;
        }
        fields.reverse();
        Some(fields)
    }
}
