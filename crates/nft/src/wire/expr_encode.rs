//! Rules as netlink attributes.

use super::Writer;
use crate::{Base, CtKey, Expr, Family, MetaKey, Reg, Reject, Rule, Target, UpdateOp, Verdict};

/// A rule's expressions as attribute `kind`.
pub(super) fn encode_rule(w: &mut Writer, kind: u16, rule: &Rule, family: Family) {
    w.nest(kind, |w| {
        for expr in &rule.exprs {
            w.nest(1, |w| {
                w.string(1, name(expr));
                w.nest(2, |w| fields(w, expr, family));
            });
        }
    });
}

/// `NFTA_DATA_VERDICT`.
pub(super) fn encode_verdict(w: &mut Writer, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5_i32, None),
    };
    w.nest(2, |w| {
        w.bytes(1, &code.to_be_bytes());
        if let Some(chain) = chain {
            w.string(2, chain);
        }
    });
}

fn name(expr: &Expr) -> &'static str {
    match expr {
        Expr::Payload { .. } | Expr::PayloadSet { .. } => "payload",
        Expr::Meta { .. } | Expr::MetaSet { .. } => "meta",
        Expr::Ct { .. } => "ct",
        Expr::FibDaddrType { .. } => "fib",
        Expr::Cmp { .. } => "cmp",
        Expr::Range { .. } => "range",
        Expr::And { .. } => "bitwise",
        Expr::Immediate { .. } | Expr::Verdict(_) => "immediate",
        Expr::Lookup { .. } => "lookup",
        Expr::Random { .. } => "numgen",
        Expr::DynSet { .. } => "dynset",
        Expr::Dnat { .. } => "nat",
        Expr::Masquerade => "masq",
        Expr::Reject(_) => "reject",
        Expr::Foreign(_) => "foreign",
    }
}

fn reg(w: &mut Writer, kind: u16, reg: Reg) {
    w.be32(kind, 8 + u32::from(reg.0));
}

fn data(w: &mut Writer, kind: u16, bytes: &[u8]) {
    w.nest(kind, |w| w.bytes(1, bytes));
}

fn fields(w: &mut Writer, expr: &Expr, family: Family) {
    match expr {
        Expr::Payload { base, offset, len, dreg } => {
            reg(w, 1, *dreg);
            place(w, *base, *offset, *len);
        }
        Expr::PayloadSet { base, offset, len, sreg, checksum } => {
            reg(w, 5, *sreg);
            place(w, *base, *offset, *len);
            if let Some(checksum) = checksum {
                w.be32(6, 1);
                w.be32(7, checksum.offset);
                w.be32(8, u32::from(checksum.pseudo_header));
            }
        }
        Expr::Meta { key, dreg } => {
            reg(w, 1, *dreg);
            w.be32(2, meta_number(*key));
        }
        Expr::MetaSet { key, sreg } => {
            w.be32(2, meta_number(*key));
            reg(w, 3, *sreg);
        }
        Expr::Ct { key, dreg } => ct(w, *key, *dreg),
        Expr::FibDaddrType { dreg } => {
            reg(w, 1, *dreg);
            w.be32(2, 3);
            w.be32(3, 2);
        }
        Expr::Cmp { sreg, equal, data: bytes } => {
            reg(w, 1, *sreg);
            w.be32(2, u32::from(!equal));
            data(w, 3, bytes);
        }
        Expr::Range { sreg, low, high } => {
            reg(w, 1, *sreg);
            w.be32(2, 0);
            data(w, 3, low);
            data(w, 4, high);
        }
        Expr::And { sreg, dreg, mask } => {
            reg(w, 1, *sreg);
            reg(w, 2, *dreg);
            w.be32(3, u32::try_from(mask.len()).unwrap_or(0));
            data(w, 4, mask);
            data(w, 5, &vec![0; mask.len()]);
        }
        Expr::Immediate { dreg, data: bytes } => {
            reg(w, 1, *dreg);
            data(w, 2, bytes);
        }
        Expr::Lookup { .. } | Expr::DynSet { .. } => set_fields(w, expr),
        Expr::Random { modulus, dreg } => {
            reg(w, 1, *dreg);
            w.be32(2, *modulus);
            w.be32(3, 1);
            w.be32(4, 0);
        }
        Expr::Dnat { addr, port } => {
            w.be32(1, 1);
            w.be32(2, u32::from(family.number()));
            reg(w, 3, *addr);
            if let Some(port) = port {
                reg(w, 5, *port);
            }
        }
        Expr::Masquerade | Expr::Foreign(_) => {}
        Expr::Reject(Reject::TcpReset) => w.be32(1, 1),
        Expr::Reject(Reject::Icmp(code)) => {
            w.be32(1, 0);
            w.bytes(2, &[*code]);
        }
        Expr::Verdict(verdict) => {
            w.be32(1, 0);
            w.nest(2, |w| encode_verdict(w, verdict));
        }
    }
}

fn set_fields(w: &mut Writer, expr: &Expr) {
    match expr {
        Expr::Lookup { set, sreg, target } => {
            w.string(1, set);
            reg(w, 2, *sreg);
            match target {
                Target::Nowhere => {}
                Target::Reg(dreg) => reg(w, 3, *dreg),
                Target::Verdict => w.be32(3, 0),
            }
        }
        Expr::DynSet { set, op, key, data, timeout_ms } => {
            w.string(1, set);
            w.be32(3, if *op == UpdateOp::Update { 1 } else { 2 });
            reg(w, 4, *key);
            reg(w, 5, *data);
            if let Some(ms) = timeout_ms {
                w.be64(6, *ms);
            }
        }
        _ => {}
    }
}

fn place(w: &mut Writer, base: Base, offset: u32, len: u32) {
    w.be32(2, if base == Base::Network { 1 } else { 2 });
    w.be32(3, offset);
    w.be32(4, len);
}

fn meta_number(key: MetaKey) -> u32 {
    match key {
        MetaKey::Mark => 3,
        MetaKey::Oif => 5,
        MetaKey::L4Proto => 16,
    }
}

fn ct(w: &mut Writer, key: CtKey, dreg: Reg) {
    reg(w, 1, dreg);
    match key {
        CtKey::Direction => w.be32(2, 1),
        CtKey::Status => w.be32(2, 2),
        CtKey::OriginalDstIp => {
            w.be32(2, 20);
            w.bytes(3, &[0]);
        }
        CtKey::OriginalDstPort => {
            w.be32(2, 12);
            w.bytes(3, &[0]);
        }
    }
}
