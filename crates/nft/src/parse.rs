//! Reads back what `print` wrote.

use crate::print::SEPARATOR;
use crate::{
    Base, BaseChain, Bytes, Chain, Checksum, CtKey, Data, Expr, Family, Field, Hook, Kind, MetaKey, Reg,
    Reject, Rule, Set, SetKind, Table, Target, UpdateOp, Value, Verdict,
};

/// The text is not a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: cannot read {text:?}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is there.
    pub text: String,
}

/// The table that `text` describes.
///
/// # Errors
/// The first line that is not what `print` writes.
pub fn parse(text: &str) -> Result<Table, ParseError> {
    let mut table = None;
    let mut open = Open::Table;
    for (index, line) in text.lines().enumerate() {
        let read = line_into(line.trim(), &mut table, &mut open);
        read.ok_or_else(|| ParseError { line: index + 1, text: line.trim().to_owned() })?;
    }
    table.ok_or(ParseError { line: 0, text: String::new() })
}

/// What the current line is inside of.
enum Open {
    Table,
    Set(String),
    Chain(String),
}

fn line_into(line: &str, table: &mut Option<Table>, open: &mut Open) -> Option<()> {
    let words: Vec<&str> = line.split(' ').collect();
    let Some(there) = table else {
        let ["table", family, name, "{"] = words[..] else { return None };
        let family = [Family::Ip, Family::Ip6].into_iter().find(|f| f.to_string() == family)?;
        *table = Some(Table::new(family, name));
        return Some(());
    };
    match (&*open, &words[..]) {
        (_, ["}"]) => *open = Open::Table,
        (Open::Table, ["set" | "map", name, "{", "type", rest @ ..]) => {
            there.set(name, shape(rest)?);
            *open = Open::Set((*name).to_owned());
        }
        (Open::Table, ["chain", name, "{", rest @ ..]) => {
            there.chains.insert((*name).into(), Chain { base: base_chain(rest)?, rules: vec![] });
            *open = Open::Chain((*name).to_owned());
        }
        (Open::Set(name), _) => {
            let set = there.sets.get_mut(name.as_str())?;
            let (key, data) = element(line, set)?;
            set.elements.insert(key, data);
        }
        (Open::Chain(name), _) => {
            let exprs = line.split(SEPARATOR).map(expr).collect::<Option<Vec<_>>>()?;
            there.chains.get_mut(name.as_str())?.rules.push(Rule { exprs });
        }
        (Open::Table, _) => return None,
    }
    Some(())
}

fn shape(words: &[&str]) -> Option<Set> {
    let mut parts = words.split(|word| *word == ";");
    let mut types = parts.next()?.split(|word| *word == ":");
    let key = fields(types.next()?)?;
    let kind = match types.next() {
        None => SetKind::Set,
        Some(["verdict"]) => SetKind::Verdicts,
        Some(data) => SetKind::Map(fields(data)?),
    };
    let mut set = Set::new(&key, kind);
    for part in parts {
        match part {
            ["dynamic"] => set.dynamic = true,
            ["size", size] => set.size = size.parse().ok()?,
            _ => return None,
        }
    }
    Some(set)
}

fn fields(words: &[&str]) -> Option<Vec<Field>> {
    let named = |word: &&[&str]| match word {
        [name] => Field::ALL.into_iter().find(|field| field.name() == *name),
        _ => None,
    };
    words.split(|word| *word == ".").map(|word| named(&word)).collect()
}

fn base_chain(words: &[&str]) -> Option<Option<BaseChain>> {
    let ["type", kind, "hook", hook, "priority", priority] = words else {
        return words.is_empty().then_some(None);
    };
    let kind = [Kind::Filter, Kind::Nat, Kind::Route].into_iter().find(|k| k.to_string() == *kind)?;
    let hooks = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
    let hook = hooks.into_iter().find(|h| h.to_string() == *hook)?;
    Some(Some(BaseChain { kind, hook, priority: priority.parse().ok()? }))
}

fn element(line: &str, set: &Set) -> Option<(Bytes, Data)> {
    let (key, data) = line.split_once(" : ").map_or((line, None), |(key, data)| (key, Some(data)));
    let key = values(key, &set.key)?;
    let data = match (&set.kind, data) {
        (SetKind::Set, None) => Data::None,
        (SetKind::Map(fields), Some(text)) => Data::Bytes(values(text, fields)?),
        (SetKind::Verdicts, Some(text)) => Data::Verdict(verdict(text)?),
        _ => return None,
    };
    Some((key, data))
}

fn values(text: &str, fields: &[Field]) -> Option<Bytes> {
    let words: Vec<&str> = text.split(" . ").collect();
    if words.len() != fields.len() || fields.len() * 4 > Bytes::MAX {
        return None;
    }
    let values: Option<Vec<Value>> =
        fields.iter().zip(words).map(|(field, word)| value(*field, word)).collect();
    Some(Bytes::key(&values?))
}

fn value(field: Field, word: &str) -> Option<Value> {
    Some(match (field, word) {
        (Field::Ipv4, _) => Value::Ipv4(word.parse().ok()?),
        (Field::Proto, "tcp") => Value::Proto(6),
        (Field::Proto, "udp") => Value::Proto(17),
        (Field::Proto, "sctp") => Value::Proto(132),
        (Field::Proto, _) => Value::Proto(word.parse().ok()?),
        (Field::Port, _) => Value::Port(word.parse().ok()?),
        (Field::Mark, _) => Value::Mark(u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()?),
    })
}

fn verdict(text: &str) -> Option<Verdict> {
    Some(match text.split(' ').collect::<Vec<_>>()[..] {
        ["accept"] => Verdict::Accept,
        ["drop"] => Verdict::Drop,
        ["return"] => Verdict::Return,
        ["jump", chain] => Verdict::Jump(chain.into()),
        ["goto", chain] => Verdict::Goto(chain.into()),
        _ => return None,
    })
}

fn reg(word: &str) -> Option<Reg> {
    let number = word.strip_prefix('r')?.parse().ok()?;
    (number < 16).then_some(Reg(number))
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    let digits = word.strip_prefix("0x").filter(|digits| digits.len() % 2 == 0 && digits.is_ascii())?;
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// `nh+16,4`
fn place(word: &str) -> Option<(Base, u32, u32)> {
    let (base, rest) = word.split_once('+')?;
    let (offset, len) = rest.split_once(',')?;
    let base = [Base::Network, Base::Transport].into_iter().find(|b| b.to_string() == base)?;
    Some((base, offset.parse().ok()?, len.parse().ok()?))
}

fn meta_key(word: &str) -> Option<MetaKey> {
    [MetaKey::L4Proto, MetaKey::Mark, MetaKey::Oif].into_iter().find(|key| key.to_string() == word)
}

fn expr(text: &str) -> Option<Expr> {
    if let Some(what) = text.strip_prefix("foreign ") {
        return Some(Expr::Foreign(what.to_owned()));
    }
    let words: Vec<&str> = text.split(' ').collect();
    Some(match words[..] {
        ["payload", at, "->", dreg] => {
            let (base, offset, len) = place(at)?;
            Expr::Payload { base, offset, len, dreg: reg(dreg)? }
        }
        ["payload", at, ":=", sreg, ref rest @ ..] => {
            let (base, offset, len) = place(at)?;
            Expr::PayloadSet { base, offset, len, sreg: reg(sreg)?, checksum: checksum(rest)? }
        }
        ["meta", key, "->", dreg] => Expr::Meta { key: meta_key(key)?, dreg: reg(dreg)? },
        ["meta", key, ":=", sreg] => Expr::MetaSet { key: meta_key(key)?, sreg: reg(sreg)? },
        ["ct", key, "->", dreg] => {
            let keys = [CtKey::Status, CtKey::Direction, CtKey::OriginalDstIp, CtKey::OriginalDstPort];
            Expr::Ct { key: keys.into_iter().find(|k| k.to_string() == key)?, dreg: reg(dreg)? }
        }
        ["fib", "daddr-type", "->", dreg] => Expr::FibDaddrType { dreg: reg(dreg)? },
        ["cmp", sreg, op @ ("==" | "!="), data] => {
            Expr::Cmp { sreg: reg(sreg)?, equal: op == "==", data: bytes(data)? }
        }
        ["range", sreg, low, high] => Expr::Range { sreg: reg(sreg)?, low: bytes(low)?, high: bytes(high)? },
        ["and", sreg, mask, "->", dreg] => {
            Expr::And { sreg: reg(sreg)?, dreg: reg(dreg)?, mask: bytes(mask)? }
        }
        ["immediate", data, "->", dreg] => Expr::Immediate { dreg: reg(dreg)?, data: bytes(data)? },
        ["lookup", set, sreg] => Expr::Lookup { set: set.into(), sreg: reg(sreg)?, target: Target::Nowhere },
        ["lookup", set, sreg, "->", "verdict"] => {
            Expr::Lookup { set: set.into(), sreg: reg(sreg)?, target: Target::Verdict }
        }
        ["lookup", set, sreg, "->", dreg] => {
            Expr::Lookup { set: set.into(), sreg: reg(sreg)?, target: Target::Reg(reg(dreg)?) }
        }
        ["random", modulus, "->", dreg] => Expr::Random { modulus: modulus.parse().ok()?, dreg: reg(dreg)? },
        ["dynset", op, set, key, ":", data, ref rest @ ..] => {
            let op = if op == "update" { UpdateOp::Update } else { UpdateOp::Delete };
            let timeout_ms = match rest {
                [] => None,
                ["timeout", ms] => Some(ms.parse().ok()?),
                _ => return None,
            };
            Expr::DynSet { set: set.into(), op, key: reg(key)?, data: reg(data)?, timeout_ms }
        }
        ["dnat", addr, ":", port] => Expr::Dnat { addr: reg(addr)?, port: Some(reg(port)?) },
        ["dnat", addr] => Expr::Dnat { addr: reg(addr)?, port: None },
        ["masquerade"] => Expr::Masquerade,
        ["reject", "tcp-reset"] => Expr::Reject(Reject::TcpReset),
        ["reject", "icmp", code] => Expr::Reject(Reject::Icmp(code.parse().ok()?)),
        _ => Expr::Verdict(verdict(text)?),
    })
}

fn checksum(words: &[&str]) -> Option<Option<Checksum>> {
    let ["checksum", offset, rest @ ..] = words else { return words.is_empty().then_some(None) };
    Some(Some(Checksum { offset: offset.parse().ok()?, pseudo_header: rest == ["pseudo"] }))
}
