//! The keys and data of sets and maps: typed values, and the bytes they are in registers.

use crate::{Name, Verdict};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The type of one field of a key or of data. Each takes whole 32-bit registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `ipv4_addr`.
    Ipv4,
    /// `inet_proto`, one byte.
    Proto,
    /// `inet_service`, two bytes in network order.
    Port,
    /// `mark`, 32 bits in host order.
    Mark,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ipv4, Self::Proto, Self::Port, Self::Mark];

    /// Its name in nft's language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4_addr",
            Self::Proto => "inet_proto",
            Self::Port => "inet_service",
            Self::Mark => "mark",
        }
    }

    /// Bytes of it that a register holds; the rest of the register is zero.
    #[must_use]
    pub fn significant_len(self) -> usize {
        match self {
            Self::Ipv4 | Self::Mark => 4,
            Self::Proto => 1,
            Self::Port => 2,
        }
    }
}

/// What the elements of a set lead to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetKind {
    /// Nothing: a set.
    Set,
    /// Data fields: a map.
    Map(Vec<Field>),
    /// A verdict: a verdict map.
    Verdicts,
}

/// One typed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// A protocol number.
    Proto(u8),
    /// A port.
    Port(u16),
    /// A 32-bit number.
    Mark(u32),
}

impl Value {
    /// Its field type.
    #[must_use]
    pub fn field(self) -> Field {
        match self {
            Self::Ipv4(_) => Field::Ipv4,
            Self::Proto(_) => Field::Proto,
            Self::Port(_) => Field::Port,
            Self::Mark(_) => Field::Mark,
        }
    }

    fn register(self) -> [u8; 4] {
        match self {
            Self::Ipv4(address) => address.octets(),
            Self::Proto(number) => [number, 0, 0, 0],
            Self::Port(port) => {
                let [high, low] = port.to_be_bytes();
                [high, low, 0, 0]
            }
            Self::Mark(mark) => mark.to_ne_bytes(),
        }
    }

    fn of(field: Field, register: [u8; 4]) -> Self {
        match field {
            Field::Ipv4 => Self::Ipv4(register.into()),
            Field::Proto => Self::Proto(register[0]),
            Field::Port => Self::Port(u16::from_be_bytes([register[0], register[1]])),
            Field::Mark => Self::Mark(u32::from_ne_bytes(register)),
        }
    }
}

/// The bytes of a key or of data, as they are in consecutive registers. At most 24, inline: there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Bytes {
    /// The most bytes a key may have.
    pub const MAX: usize = 24;

    /// The registers of a list of values, at most six.
    #[must_use]
    pub fn key(values: &[Value]) -> Self {
        let mut bytes = [0; Self::MAX];
        for (slot, value) in bytes.chunks_exact_mut(4).zip(values) {
            slot.copy_from_slice(&value.register());
        }
        let len = u8::try_from((values.len() * 4).min(Self::MAX)).unwrap_or(0);
        Self { len, bytes }
    }

    /// From raw bytes; `None` if there are too many.
    #[must_use]
    pub fn from_slice(raw: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        Some(Self { len: u8::try_from(raw.len()).ok()?, bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The values of these fields; `None` if the length is not theirs.
    #[must_use]
    pub fn values(&self, fields: &[Field]) -> Option<Vec<Value>> {
        if self.as_slice().len() != fields.len() * 4 {
            return None;
        }
        let registers = self.as_slice().chunks_exact(4);
        Some(fields.iter().zip(registers).map(|(f, r)| Value::of(*f, [r[0], r[1], r[2], r[3]])).collect())
    }
}

/// What an element leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// Nothing: the set has no data.
    None,
    /// The bytes of the data registers.
    Bytes(Bytes),
    /// A verdict.
    Verdict(Verdict),
}

impl Data {
    /// Data of typed values.
    #[must_use]
    pub fn of(values: &[Value]) -> Self {
        Self::Bytes(Bytes::key(values))
    }

    /// `goto chain`.
    #[must_use]
    pub fn goto(chain: &str) -> Self {
        Self::Verdict(Verdict::Goto(Name::from(chain)))
    }
}

/// The elements of a set.
pub type Elements = BTreeMap<Bytes, Data>;
