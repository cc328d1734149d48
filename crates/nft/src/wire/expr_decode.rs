//! Netlink attributes as rules. What is not ours becomes `Expr::Foreign`, which equals nothing that is planned.

use super::Attr;
use super::attr::attributes;
use crate::{Base, Checksum, CtKey, Expr, MetaKey, Name, Reg, Reject, Rule, Target, UpdateOp, Verdict};

/// `NFTA_RULE_EXPRESSIONS`.
pub(super) fn decode_rule(list: Attr<'_>) -> Rule {
    let exprs = list.nested().map(|element| {
        let name = find(element.value, 1).and_then(|attr| attr.text()).unwrap_or_default();
        let data = find(element.value, 2).map_or(&[][..], |attr| attr.value);
        decode(name, Fields(data)).unwrap_or_else(|| Expr::Foreign(name.to_owned()))
    });
    Rule { exprs: exprs.collect() }
}

/// `NFTA_DATA_VERDICT`.
pub(super) fn decode_verdict(data: Attr<'_>) -> Option<Verdict> {
    let verdict = Fields(find(data.value, 2)?.value);
    let chain = || verdict.text(2).map(Name::from);
    match i32::from_be_bytes(verdict.be32(1)?.to_be_bytes()) {
        0 => Some(Verdict::Drop),
        1 => Some(Verdict::Accept),
        -3 => Some(Verdict::Jump(chain()?)),
        -4 => Some(Verdict::Goto(chain()?)),
        -5 => Some(Verdict::Return),
        _ => None,
    }
}

fn find(bytes: &[u8], kind: u16) -> Option<Attr<'_>> {
    attributes(bytes).find(|attr| attr.kind == kind)
}

/// The attributes of one expression.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn get(self, kind: u16) -> Option<Attr<'a>> {
        find(self.0, kind)
    }

    fn be32(self, kind: u16) -> Option<u32> {
        self.get(kind)?.be32()
    }

    fn text(self, kind: u16) -> Option<&'a str> {
        self.get(kind)?.text()
    }

    /// The kernel names aligned registers by its old 128-bit numbers, 1 to 4.
    fn reg(self, kind: u16) -> Option<Reg> {
        let number = match self.be32(kind)? {
            wide @ 1..=4 => (wide - 1) * 4,
            narrow @ 8..=23 => narrow - 8,
            _ => return None,
        };
        u8::try_from(number).ok().map(Reg)
    }

    fn data(self, kind: u16) -> Option<Vec<u8>> {
        Some(find(self.get(kind)?.value, 1)?.value.to_vec())
    }
}

fn decode(name: &str, f: Fields<'_>) -> Option<Expr> {
    Some(match name {
        "payload" => payload(f)?,
        "meta" => match (meta_key(f.be32(2)?)?, f.reg(1), f.reg(3)) {
            (key, Some(dreg), None) => Expr::Meta { key, dreg },
            (key, None, Some(sreg)) => Expr::MetaSet { key, sreg },
            _ => return None,
        },
        "ct" => ct(f)?,
        "fib" if f.be32(2) == Some(3) && f.be32(3) == Some(2) => Expr::FibDaddrType { dreg: f.reg(1)? },
        "cmp" => match f.be32(2)? {
            op @ 0..=1 => Expr::Cmp { sreg: f.reg(1)?, equal: op == 0, data: f.data(3)? },
            _ => return None,
        },
        "range" if f.be32(2) == Some(0) => Expr::Range { sreg: f.reg(1)?, low: f.data(3)?, high: f.data(4)? },
        "bitwise" if f.be32(6).unwrap_or(0) == 0 && f.data(5)?.iter().all(|byte| *byte == 0) => {
            Expr::And { sreg: f.reg(1)?, dreg: f.reg(2)?, mask: f.data(4)? }
        }
        "immediate" if f.be32(1) == Some(0) => Expr::Verdict(decode_verdict(f.get(2)?)?),
        "immediate" => Expr::Immediate { dreg: f.reg(1)?, data: f.data(2)? },
        "lookup" if f.be32(5).unwrap_or(0) == 0 => lookup(f)?,
        "numgen" if f.be32(3) == Some(1) && f.be32(4).unwrap_or(0) == 0 => {
            Expr::Random { modulus: f.be32(2)?, dreg: f.reg(1)? }
        }
        "dynset" => dynset(f)?,
        "nat" if f.be32(1) == Some(1) => Expr::Dnat { addr: f.reg(3)?, port: f.reg(5) },
        "masq" if f.be32(1).unwrap_or(0) == 0 && f.get(2).is_none() => Expr::Masquerade,
        "reject" => match (f.be32(1)?, f.get(2).and_then(|attr| attr.value.first().copied())) {
            (1, _) => Expr::Reject(Reject::TcpReset),
            (0, Some(code)) => Expr::Reject(Reject::Icmp(code)),
            _ => return None,
        },
        _ => return None,
    })
}

fn payload(f: Fields<'_>) -> Option<Expr> {
    let base = match f.be32(2)? {
        1 => Base::Network,
        2 => Base::Transport,
        _ => return None,
    };
    let (offset, len) = (f.be32(3)?, f.be32(4)?);
    if let Some(dreg) = f.reg(1) {
        return Some(Expr::Payload { base, offset, len, dreg });
    }
    let checksum = match f.be32(6).unwrap_or(0) {
        0 => None,
        1 => Some(Checksum { offset: f.be32(7)?, pseudo_header: f.be32(8).unwrap_or(0) == 1 }),
        _ => return None,
    };
    Some(Expr::PayloadSet { base, offset, len, sreg: f.reg(5)?, checksum })
}

fn ct(f: Fields<'_>) -> Option<Expr> {
    let original = f.get(3).is_some_and(|attr| attr.value == [0]);
    let key = match (f.be32(2)?, original) {
        (1, false) => CtKey::Direction,
        (2, false) => CtKey::Status,
        (20, true) => CtKey::OriginalDstIp,
        (12, true) => CtKey::OriginalDstPort,
        _ => return None,
    };
    Some(Expr::Ct { key, dreg: f.reg(1)? })
}

fn lookup(f: Fields<'_>) -> Option<Expr> {
    let target = match f.be32(3) {
        None => Target::Nowhere,
        Some(0) => Target::Verdict,
        Some(_) => Target::Reg(f.reg(3)?),
    };
    Some(Expr::Lookup { set: f.text(1)?.into(), sreg: f.reg(2)?, target })
}

fn dynset(f: Fields<'_>) -> Option<Expr> {
    let op = match f.be32(3)? {
        1 => UpdateOp::Update,
        2 => UpdateOp::Delete,
        _ => return None,
    };
    let timeout_ms = f.get(6).and_then(|attr| attr.be64()).filter(|ms| *ms > 0);
    Some(Expr::DynSet { set: f.text(1)?.into(), op, key: f.reg(4)?, data: f.reg(5)?, timeout_ms })
}

fn meta_key(number: u32) -> Option<MetaKey> {
    match number {
        3 => Some(MetaKey::Mark),
        5 => Some(MetaKey::Oif),
        16 => Some(MetaKey::L4Proto),
        _ => None,
    }
}
