//! The DNS wire format (RFC 1035, RFC 6891), as much of it as an authoritative server and a forwarder need.

mod name;
mod query;
mod records;
mod response;

pub use name::Name;
pub(crate) use name::push_label;
pub use query::{Edns, Malformed, Query, parse};
pub use records::{Builder, Owner, RecordSet};
pub use response::{Record, Response};

/// The length of a message's header.
pub const HEADER: usize = 12;
/// The class of the Internet.
pub const CLASS_IN: u16 = 1;

/// Record types.
pub mod rtype {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name server.
    pub const NS: u16 = 2;
    /// Another name.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// The name of an address.
    pub const PTR: u16 = 12;
    /// A mail server.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// A host and a port (RFC 2782).
    pub const SRV: u16 = 33;
    /// Another name for a whole subtree.
    pub const DNAME: u16 = 39;
    /// Options of a message (RFC 6891).
    pub const OPT: u16 = 41;
    /// A change of a zone since a version of it.
    pub const IXFR: u16 = 251;
    /// A whole zone.
    pub const AXFR: u16 = 252;
}

/// Response codes (RFC 1035, RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// All is well.
    NoError,
    /// The query cannot be understood.
    FormErr,
    /// It could not be answered now.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// This kind of query is not served.
    NotImp,
    /// It will not be answered.
    Refused,
    /// The version of EDNS is unknown.
    BadVers,
}

impl Rcode {
    /// Every code, in the order of [`Self::index`].
    pub const ALL: [Self; 7] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::BadVers,
    ];

    /// The lower four bits, in the header.
    #[must_use]
    pub const fn header_bits(self) -> u8 {
        match self {
            Self::NoError | Self::BadVers => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
        }
    }

    /// The upper eight bits, in the OPT record.
    #[must_use]
    pub const fn extended_bits(self) -> u8 {
        matches!(self, Self::BadVers) as u8
    }

    /// The name as metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::BadVers => "BADVERS",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::BadVers => 6,
        }
    }
}
