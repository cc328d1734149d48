//! The kernel's expressions, as far as they are used. `rN` is the kernel's 32-bit register N, of 16.

use crate::Name;

/// A 32-bit register, 0 to 15. Wider values take the following ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(pub u8);

/// What a payload offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// The IP header.
    Network,
    /// The TCP, UDP, … header.
    Transport,
}

/// A key of `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetaKey {
    /// The transport protocol, one byte.
    L4Proto,
    /// The packet's mark.
    Mark,
    /// The number of the link it leaves by, host order. The tracer knows no links: 0.
    Oif,
}

/// A key of `ct`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CtKey {
    /// Status bits, `IPS_*`.
    Status,
    /// One byte: 0 for the direction of the first packet, 1 for answers.
    Direction,
    /// The destination address of the original direction.
    OriginalDstIp,
    /// The destination port of the original direction.
    OriginalDstPort,
}

/// The checksum that a payload write keeps right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checksum {
    /// Offset of the header's own checksum.
    pub offset: u32,
    /// The transport checksum covers these bytes as well (pseudo header).
    pub pseudo_header: bool,
}

/// What a rejected sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// TCP RST.
    TcpReset,
    /// ICMP (or ICMPv6) destination unreachable with this code.
    Icmp(u8),
}

/// How `dynset` changes the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateOp {
    /// Adds the element or refreshes its time-out.
    Update,
    /// Removes the element.
    Delete,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Ends this base chain; the packet goes on.
    Accept,
    /// Ends the packet.
    Drop,
    /// Back to where the jump was.
    Return,
    /// To a chain, and back at its end.
    Jump(Name),
    /// To a chain; its end is the end of this one.
    Goto(Name),
}

/// Where a look-up leaves what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Nowhere: a set, only whether the key is in it.
    Nowhere,
    /// In registers from this one on.
    Reg(Reg),
    /// The verdict of a verdict map is carried out.
    Verdict,
}

/// One expression of a rule.
#[expect(missing_docs, reason = "the fields are the kernel's own: registers, offsets and lengths in bytes")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Loads packet bytes.
    Payload { base: Base, offset: u32, len: u32, dreg: Reg },
    /// Writes packet bytes.
    PayloadSet { base: Base, offset: u32, len: u32, sreg: Reg, checksum: Option<Checksum> },
    /// Loads a property of the packet.
    Meta { key: MetaKey, dreg: Reg },
    /// Sets a property of the packet.
    MetaSet { key: MetaKey, sreg: Reg },
    /// Loads a property of the flow.
    Ct { key: CtKey, dreg: Reg },
    /// Loads the kind of the destination address (`RTN_*`, host order).
    FibDaddrType { dreg: Reg },
    /// Goes on if the bytes are (not) equal.
    Cmp { sreg: Reg, equal: bool, data: Vec<u8> },
    /// Goes on if low ≤ bytes ≤ high, compared as bytes.
    Range { sreg: Reg, low: Vec<u8>, high: Vec<u8> },
    /// `dreg = sreg & mask`, of the mask's length.
    And { sreg: Reg, dreg: Reg, mask: Vec<u8> },
    /// Loads a constant.
    Immediate { dreg: Reg, data: Vec<u8> },
    /// Goes on if the key from `sreg` on is in the set.
    Lookup { set: Name, sreg: Reg, target: Target },
    /// A random number below `modulus`, host order.
    Random { modulus: u32, dreg: Reg },
    /// Changes a dynamic set; does not go on if it is full.
    DynSet { set: Name, op: UpdateOp, key: Reg, data: Reg, timeout_ms: Option<u64> },
    /// Translates the destination.
    Dnat { addr: Reg, port: Option<Reg> },
    /// Translates the source to the address of the link the packet leaves by.
    Masquerade,
    /// Ends the packet and tells its sender.
    Reject(Reject),
    /// Carries out a verdict.
    Verdict(Verdict),
    /// Something that is not ours; never equal to a planned one because none is planned.
    Foreign(String),
}
