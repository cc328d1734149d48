//! Which registers an expression reads and writes: what the kernel checks when it takes a rule.

use crate::{CtKey, Data, Expr, Field, MetaKey, Reg, Set, SetKind, Table, Target};

/// (register, bytes) read and written by one expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) reads: Vec<(Reg, usize)>,
    pub(crate) writes: Vec<(Reg, usize)>,
}

/// The access of `expr`; look-ups of unknown sets read and write nothing.
pub(crate) fn access(expr: &Expr, table: &Table) -> Access {
    let usize_of = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let (reads, writes) = match expr {
        Expr::Payload { len, dreg, .. } => (vec![], vec![(*dreg, usize_of(*len))]),
        Expr::PayloadSet { len, sreg, .. } => (vec![(*sreg, usize_of(*len))], vec![]),
        Expr::Meta { key, dreg } => (vec![], vec![(*dreg, if *key == MetaKey::L4Proto { 1 } else { 4 })]),
        Expr::MetaSet { sreg, .. } => (vec![(*sreg, 4)], vec![]),
        Expr::Ct { key: CtKey::Direction, dreg } => (vec![], vec![(*dreg, 1)]),
        Expr::Ct { dreg, .. } | Expr::FibDaddrType { dreg } | Expr::Random { dreg, .. } => {
            (vec![], vec![(*dreg, 4)])
        }
        Expr::Cmp { sreg, data, .. } => (vec![(*sreg, data.len())], vec![]),
        Expr::Range { sreg, low, .. } => (vec![(*sreg, low.len())], vec![]),
        Expr::And { sreg, dreg, mask } => (vec![(*sreg, mask.len())], vec![(*dreg, mask.len())]),
        Expr::Immediate { dreg, data } => (vec![], vec![(*dreg, data.len())]),
        Expr::Lookup { set, sreg, target } => match table.sets.get(set) {
            Some(set) => {
                let writes = match target {
                    Target::Reg(dreg) => vec![(*dreg, data_len(set))],
                    Target::Nowhere | Target::Verdict => vec![],
                };
                (vec![(*sreg, fields_len(&set.key))], writes)
            }
            None => (vec![], vec![]),
        },
        Expr::DynSet { set, key, data, .. } => match table.sets.get(set) {
            Some(set) => (vec![(*key, fields_len(&set.key)), (*data, data_len(set))], vec![]),
            None => (vec![], vec![]),
        },
        Expr::Dnat { addr, port } => {
            let mut reads = vec![(*addr, 4)];
            reads.extend(port.map(|port| (port, 2)));
            (reads, vec![])
        }
        Expr::Masquerade | Expr::Reject(_) | Expr::Verdict(_) | Expr::Foreign(_) => (vec![], vec![]),
    };
    Access { reads, writes }
}

/// The bytes of these fields in registers.
pub(crate) fn fields_len(fields: &[Field]) -> usize {
    fields.len() * 4
}

/// The bytes of a map's data in registers; 0 for sets and verdict maps.
pub(crate) fn data_len(set: &Set) -> usize {
    match &set.kind {
        SetKind::Map(fields) => fields_len(fields),
        SetKind::Set | SetKind::Verdicts => 0,
    }
}

/// True if an element's data is of the set's kind and length.
pub(crate) fn data_fits(set: &Set, data: &Data) -> bool {
    match (&set.kind, data) {
        (SetKind::Set, Data::None) | (SetKind::Verdicts, Data::Verdict(_)) => true,
        (SetKind::Map(_), Data::Bytes(bytes)) => bytes.as_slice().len() == data_len(set),
        _ => false,
    }
}
