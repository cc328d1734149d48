//! A dump of the kernel as a table.

use super::expr_decode::{decode_rule, decode_verdict};
use super::{Attr, Message, SUBSYSTEM, VERDICT_TYPE, Writer, flag, msg, set_flag};
use crate::{BaseChain, Bytes, Chain, Data, Elements, Family, Field, Hook, Kind, Set, SetKind, Table};

/// The requests of a whole dump, to be sent one after another; the second kind needs the names of the sets.
///
/// `what` 0 to 3: the table, its chains, rules and sets; with `set`, that set's elements.
#[must_use]
pub fn dump_request(family: Family, table: &str, what: usize, set: Option<&str>, sequence: u32) -> Vec<u8> {
    let kinds = [msg::GET_TABLE, msg::GET_CHAIN, msg::GET_RULE, msg::GET_SET];
    let kind = if set.is_some() { msg::GET_SETELEM } else { kinds[what % kinds.len()] };
    let mut w = Writer::default();
    // A table is asked for by name; all else is dumped and filtered.
    let flags = if kind == msg::GET_TABLE { flag::ACK } else { flag::DUMP };
    w.begin(SUBSYSTEM | kind, flag::REQUEST | flags, sequence, family.number(), 0);
    w.string(1, table);
    if let Some(set) = set {
        w.string(2, set);
    }
    w.end();
    w.finish()
}

/// Asks for every chain of every table and family: attributes `NFTA_CHAIN_*`.
#[must_use]
pub fn chains_request(sequence: u32) -> Vec<u8> {
    let mut w = Writer::default();
    w.begin(SUBSYSTEM | msg::GET_CHAIN, flag::REQUEST | flag::DUMP, sequence, 0, 0);
    w.end();
    w.finish()
}

/// Asks for the generation of the ruleset: it counts the commits of everybody in this network namespace.
#[must_use]
pub fn generation_request(sequence: u32) -> Vec<u8> {
    let mut w = Writer::default();
    w.begin(SUBSYSTEM | msg::GET_GEN, flag::REQUEST, sequence, 0, 0);
    w.end();
    w.finish()
}

/// The generation in an answer to [`generation_request`].
#[must_use]
pub fn generation(message: &Message<'_>) -> Option<u32> {
    let is_generation = message.kind == SUBSYSTEM | msg::NEW_GEN;
    message.attributes().find(|attr| is_generation && attr.kind == 1)?.be32()
}

/// Puts the messages of a dump together.
#[derive(Debug)]
pub struct Reader {
    table: Table,
    found: bool,
}

impl Reader {
    /// For the table of this name.
    #[must_use]
    pub fn new(family: Family, name: &str) -> Self {
        Self { table: Table::new(family, name), found: false }
    }

    /// The table; `None` if the kernel has none of that name.
    #[must_use]
    pub fn finish(self) -> Option<Table> {
        self.found.then_some(self.table)
    }

    /// The names of the sets whose elements are wanted.
    #[must_use]
    pub fn static_sets(&self) -> Vec<crate::Name> {
        self.table.sets.iter().filter(|(_, set)| !set.dynamic).map(|(name, _)| name.clone()).collect()
    }

    /// Takes one message; those of other tables and what cannot be read is passed over.
    pub fn message(&mut self, message: &Message<'_>) {
        let attr = |kind: u16| message.attributes().find(|attr| attr.kind == kind);
        if attr(1).and_then(|name| name.text()) != Some(&self.table.name) {
            return;
        }
        let _ = match message.kind.wrapping_sub(SUBSYSTEM) {
            msg::NEW_TABLE => {
                self.found = true;
                Some(())
            }
            msg::NEW_CHAIN => self.chain(message),
            msg::NEW_RULE => self.rule(attr(2), attr(4)),
            msg::NEW_SET => self.set(message),
            msg::NEW_SETELEM => self.elements(attr(2), attr(3)),
            _ => None,
        };
    }

    fn chain(&mut self, message: &Message<'_>) -> Option<()> {
        let attr = |kind: u16| message.attributes().find(|attr| attr.kind == kind);
        let base = attr(4).and_then(|hook| {
            let field = |kind| hook.nested().find(|attr| attr.kind == kind).and_then(|attr| attr.be32());
            let kind = attr(7).and_then(|kind| kind.text())?;
            Some(BaseChain {
                kind: [Kind::Filter, Kind::Nat, Kind::Route].into_iter().find(|k| k.to_string() == kind)?,
                hook: Hook::ALL.into_iter().find(|hook| Some(hook.number()) == field(1))?,
                priority: i32::from_be_bytes(field(2)?.to_be_bytes()),
            })
        });
        self.table.chains.insert(attr(3)?.text()?.into(), Chain { base, rules: Vec::new() });
        Some(())
    }

    fn rule(&mut self, chain: Option<Attr<'_>>, exprs: Option<Attr<'_>>) -> Option<()> {
        let chain = self.table.chains.get_mut(chain?.text()?)?;
        chain.rules.push(decode_rule(exprs?));
        Some(())
    }

    fn set(&mut self, message: &Message<'_>) -> Option<()> {
        let attr = |kind: u16| message.attributes().find(|attr| attr.kind == kind);
        let number = |kind: u16| attr(kind).and_then(|attr| attr.be32());
        let flags = number(3).unwrap_or(0);
        if flags & set_flag::ANONYMOUS != 0 {
            return None;
        }
        // Types that are not ours leave no fields: such a set is equal to none that is planned.
        let fields = |number: Option<u32>| number.and_then(Field::split).unwrap_or_default();
        let kind = match number(6) {
            _ if flags & set_flag::MAP == 0 => SetKind::Set,
            Some(VERDICT_TYPE) => SetKind::Verdicts,
            other => SetKind::Map(fields(other)),
        };
        let mut set = Set::new(&fields(number(4)), kind);
        set.dynamic = flags & set_flag::EVAL != 0;
        let size = attr(9).and_then(|desc| desc.nested().find(|attr| attr.kind == 1));
        set.size = size.and_then(|attr| attr.be32()).unwrap_or(0);
        self.table.sets.insert(attr(2)?.text()?.into(), set);
        Some(())
    }

    fn elements(&mut self, set: Option<Attr<'_>>, list: Option<Attr<'_>>) -> Option<()> {
        let found = &mut self.table.sets.get_mut(set?.text()?)?.elements;
        for element in list?.nested() {
            insert(found, element);
        }
        Some(())
    }
}

fn insert(elements: &mut Elements, element: Attr<'_>) -> Option<()> {
    let attr = |kind: u16| element.nested().find(|attr| attr.kind == kind);
    let value = |attr: Attr<'_>| {
        let value = attr.nested().find(|attr| attr.kind == 1)?;
        Bytes::from_slice(value.value)
    };
    let data = match attr(2) {
        None => Data::None,
        Some(data) => match value(data) {
            Some(bytes) => Data::Bytes(bytes),
            None => Data::Verdict(decode_verdict(data)?),
        },
    };
    elements.insert(value(attr(1)?)?, data);
    Some(())
}
