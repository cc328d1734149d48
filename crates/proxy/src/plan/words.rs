//! The words that rules are made of.

use sealane_nft::{Base, Expr, MetaKey, Reg, Target};
use std::net::Ipv4Addr;

pub(super) const fn r(number: u8) -> Reg {
    Reg(number)
}

pub(super) fn saddr(dreg: u8) -> Expr {
    Expr::Payload { base: Base::Network, offset: 12, len: 4, dreg: r(dreg) }
}

pub(super) fn daddr(dreg: u8) -> Expr {
    Expr::Payload { base: Base::Network, offset: 16, len: 4, dreg: r(dreg) }
}

pub(super) fn dport(dreg: u8) -> Expr {
    Expr::Payload { base: Base::Transport, offset: 2, len: 2, dreg: r(dreg) }
}

pub(super) fn l4proto(dreg: u8) -> Expr {
    Expr::Meta { key: MetaKey::L4Proto, dreg: r(dreg) }
}

pub(super) fn equal(sreg: u8, data: &[u8]) -> Expr {
    Expr::Cmp { sreg: r(sreg), equal: true, data: data.to_vec() }
}

pub(super) fn differs(sreg: u8, data: &[u8]) -> Expr {
    Expr::Cmp { sreg: r(sreg), equal: false, data: data.to_vec() }
}

pub(super) fn and(reg: u8, mask: &[u8]) -> Expr {
    Expr::And { sreg: r(reg), dreg: r(reg), mask: mask.to_vec() }
}

pub(super) fn load(dreg: u8, address: Ipv4Addr) -> Expr {
    Expr::Immediate { dreg: r(dreg), data: address.octets().to_vec() }
}

pub(super) fn contains(set: &str, sreg: u8) -> Expr {
    Expr::Lookup { set: set.into(), sreg: r(sreg), target: Target::Nowhere }
}

pub(super) fn map(name: &str, sreg: u8, dreg: u8) -> Expr {
    Expr::Lookup { set: name.into(), sreg: r(sreg), target: Target::Reg(r(dreg)) }
}

/// Passes a register through the mark and leaves the mark as it was.
pub(super) fn scratch(reg: u8) -> [Expr; 4] {
    let mark = MetaKey::Mark;
    [
        Expr::Meta { key: mark, dreg: r(8) },
        Expr::MetaSet { key: mark, sreg: r(reg) },
        Expr::Meta { key: mark, dreg: r(reg) },
        Expr::MetaSet { key: mark, sreg: r(8) },
    ]
}
