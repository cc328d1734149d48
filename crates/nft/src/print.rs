//! The canonical text of a table. Like nft's language, but rules show the kernel's expressions.

use crate::{
    Base, Bytes, Chain, CtKey, Data, Expr, Family, Field, Hook, Kind, MetaKey, Name, Reg, Reject, Rule, Set,
    SetKind, Table, Target, UpdateOp, Value, Verdict,
};
use std::fmt::{self, Display, Formatter, Write as _};

/// The separator of a rule's expressions.
pub(crate) const SEPARATOR: &str = " · ";

/// The whole table; `parse` reads it back.
#[must_use]
pub fn print(table: &Table) -> String {
    let mut out = format!("table {} {} {{\n", table.family, table.name);
    for (name, set) in &table.sets {
        print_set(&mut out, name, set);
    }
    for (name, chain) in &table.chains {
        print_chain(&mut out, name, chain);
    }
    out.push_str("}\n");
    out
}

/// Only the elements, one `set key : data` a line: what differs from one cluster to another.
#[must_use]
pub fn print_elements(table: &Table) -> String {
    let mut out = String::new();
    for (name, set) in &table.sets {
        for (key, data) in &set.elements {
            let _ = writeln!(out, "{name} {}", element(set, key, data));
        }
    }
    out
}

/// One rule.
#[must_use]
pub fn print_rule(rule: &Rule) -> String {
    rule.exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(SEPARATOR)
}

fn print_set(out: &mut String, name: &Name, set: &Set) {
    let word = if set.kind == SetKind::Set { "set" } else { "map" };
    let _ = write!(out, "\t{word} {name} {{ type {}", fields(&set.key));
    match &set.kind {
        SetKind::Set => {}
        SetKind::Map(data) => drop(write!(out, " : {}", fields(data))),
        SetKind::Verdicts => out.push_str(" : verdict"),
    }
    if set.dynamic {
        out.push_str(" ; dynamic");
    }
    if set.size > 0 {
        let _ = write!(out, " ; size {}", set.size);
    }
    out.push('\n');
    for (key, data) in &set.elements {
        let _ = writeln!(out, "\t\t{}", element(set, key, data));
    }
    out.push_str("\t}\n");
}

fn print_chain(out: &mut String, name: &Name, chain: &Chain) {
    let _ = write!(out, "\tchain {name} {{");
    if let Some(base) = chain.base {
        let _ = write!(out, " type {} hook {} priority {}", base.kind, base.hook, base.priority);
    }
    out.push('\n');
    for rule in &chain.rules {
        let _ = writeln!(out, "\t\t{}", print_rule(rule));
    }
    out.push_str("\t}\n");
}

fn fields(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(" . ")
}

fn element(set: &Set, key: &Bytes, data: &Data) -> String {
    let key = values(key, &set.key);
    match (data, &set.kind) {
        (Data::None, _) => key,
        (Data::Bytes(bytes), SetKind::Map(fields)) => format!("{key} : {}", values(bytes, fields)),
        (Data::Bytes(bytes), _) => format!("{key} : {}", hex(bytes.as_slice())),
        (Data::Verdict(verdict), _) => format!("{key} : {verdict}"),
    }
}

fn values(bytes: &Bytes, fields: &[Field]) -> String {
    match bytes.values(fields) {
        Some(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . "),
        None => hex(bytes.as_slice()),
    }
}

/// `0x` and two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => write!(f, "{address}"),
            Self::Proto(6) => f.write_str("tcp"),
            Self::Proto(17) => f.write_str("udp"),
            Self::Proto(132) => f.write_str("sctp"),
            Self::Proto(number) => write!(f, "{number}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Mark(mark) => write!(f, "0x{mark:x}"),
        }
    }
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        })
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        })
    }
}

impl Display for Hook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        })
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "nh",
            Self::Transport => "th",
        })
    }
}

impl Display for MetaKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L4Proto => "l4proto",
            Self::Mark => "mark",
            Self::Oif => "oif",
        })
    }
}

impl Display for CtKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Direction => "direction",
            Self::OriginalDstIp => "original-daddr",
            Self::OriginalDstPort => "original-dport",
        })
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload { base, offset, len, dreg } => write!(f, "payload {base}+{offset},{len} -> {dreg}"),
            Self::PayloadSet { base, offset, len, sreg, checksum } => {
                write!(f, "payload {base}+{offset},{len} := {sreg}")?;
                let Some(checksum) = checksum else { return Ok(()) };
                write!(
                    f,
                    " checksum {}{}",
                    checksum.offset,
                    if checksum.pseudo_header { " pseudo" } else { "" }
                )
            }
            Self::Meta { key, dreg } => write!(f, "meta {key} -> {dreg}"),
            Self::MetaSet { key, sreg } => write!(f, "meta {key} := {sreg}"),
            Self::Ct { key, dreg } => write!(f, "ct {key} -> {dreg}"),
            Self::FibDaddrType { dreg } => write!(f, "fib daddr-type -> {dreg}"),
            Self::Cmp { sreg, equal, data } => {
                write!(f, "cmp {sreg} {} {}", if *equal { "==" } else { "!=" }, hex(data))
            }
            Self::Range { sreg, low, high } => write!(f, "range {sreg} {} {}", hex(low), hex(high)),
            Self::And { sreg, dreg, mask } => write!(f, "and {sreg} {} -> {dreg}", hex(mask)),
            Self::Immediate { dreg, data } => write!(f, "immediate {} -> {dreg}", hex(data)),
            Self::Lookup { set, sreg, target: Target::Nowhere } => write!(f, "lookup {set} {sreg}"),
            Self::Lookup { set, sreg, target: Target::Verdict } => {
                write!(f, "lookup {set} {sreg} -> verdict")
            }
            Self::Lookup { set, sreg, target: Target::Reg(dreg) } => {
                write!(f, "lookup {set} {sreg} -> {dreg}")
            }
            Self::Random { modulus, dreg } => write!(f, "random {modulus} -> {dreg}"),
            Self::DynSet { set, op, key, data, timeout_ms } => {
                let op = if *op == UpdateOp::Update { "update" } else { "delete" };
                write!(f, "dynset {op} {set} {key} : {data}")?;
                timeout_ms.map_or(Ok(()), |ms| write!(f, " timeout {ms}"))
            }
            Self::Dnat { addr, port: Some(port) } => write!(f, "dnat {addr} : {port}"),
            Self::Dnat { addr, port: None } => write!(f, "dnat {addr}"),
            Self::Masquerade => f.write_str("masquerade"),
            Self::Reject(Reject::TcpReset) => f.write_str("reject tcp-reset"),
            Self::Reject(Reject::Icmp(code)) => write!(f, "reject icmp {code}"),
            Self::Verdict(verdict) => write!(f, "{verdict}"),
            Self::Foreign(what) => write!(f, "foreign {what}"),
        }
    }
}
