//! Changes as transactions.

use super::expr_encode::{encode_rule, encode_verdict};
use super::{SUBSYSTEM, VERDICT_TYPE, Writer, flag, msg, set_flag};
use crate::{BaseChain, Bytes, Change, Data, Family, Field, Name, Set, SetKind};

/// Elements in one message: their nest must stay below 64 KB.
const ELEMENTS_PER_MESSAGE: usize = 1_000;

/// One transaction, ready to send.
#[derive(Debug)]
pub struct Batch {
    /// Begin, changes, end.
    pub bytes: Vec<u8>,
    /// The sequence number of its first message; an error with this number ends it.
    pub first: u32,
    /// The sequence number of the change that is acknowledged when all are done.
    pub last: u32,
}

/// The changes as transactions of at most `limit` bytes or so: one, unless `limit` forces more.
///
/// `sequence` is advanced by the number of messages.
#[must_use]
pub fn encode(
    family: Family,
    table: &str,
    changes: &[Change],
    limit: usize,
    sequence: &mut u32,
) -> Vec<Batch> {
    let mut encoder = Encoder::new(family, table, limit, sequence);
    for change in changes {
        encoder.change(change);
    }
    encoder.close();
    encoder.done
}

struct Encoder<'a> {
    family: Family,
    table: &'a str,
    limit: usize,
    sequence: &'a mut u32,
    writer: Writer,
    first: u32,
    done: Vec<Batch>,
}

impl<'a> Encoder<'a> {
    fn new(family: Family, table: &'a str, limit: usize, sequence: &'a mut u32) -> Self {
        Self { family, table, limit, sequence, writer: Writer::default(), first: 0, done: Vec::new() }
    }

    fn next(&mut self) -> u32 {
        *self.sequence = self.sequence.wrapping_add(1);
        *self.sequence
    }

    fn close(&mut self) {
        if self.writer.is_empty() {
            return;
        }
        let last = *self.sequence;
        self.writer.flag_last(flag::ACK);
        let end = self.next();
        self.writer.begin(0x11, flag::REQUEST, end, 0, SUBSYSTEM >> 8);
        self.writer.end();
        let bytes = std::mem::take(&mut self.writer).finish();
        self.done.push(Batch { bytes, first: self.first, last });
    }

    /// One message about this table; `fill` gets the writer after the header.
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) {
        if self.writer.len() >= self.limit {
            self.close();
        }
        if self.writer.is_empty() {
            self.first = self.next();
            self.writer.begin(0x10, flag::REQUEST, self.first, 0, SUBSYSTEM >> 8);
            self.writer.end();
        }
        let sequence = self.next();
        self.writer.begin(SUBSYSTEM | kind, flag::REQUEST | flags, sequence, self.family.number(), 0);
        self.writer.string(1, self.table);
        fill(&mut self.writer);
        self.writer.end();
    }

    fn change(&mut self, change: &Change) {
        let family = self.family;
        match change {
            Change::AddTable => self.message(msg::NEW_TABLE, flag::CREATE, |w| w.be32(2, 0)),
            Change::DeleteTable => self.message(msg::DEL_TABLE, 0, |_| {}),
            Change::AddSet { name, shape } => {
                let id = self.sequence.wrapping_add(1);
                self.message(msg::NEW_SET, flag::CREATE, |w| encode_set(w, name, shape, id));
            }
            Change::DeleteSet { name } => self.message(msg::DEL_SET, 0, |w| w.string(2, name)),
            Change::AddChain { name, base } => {
                self.message(msg::NEW_CHAIN, flag::CREATE, |w| encode_chain(w, name, *base));
            }
            Change::DeleteChain { name } => self.message(msg::DEL_CHAIN, 0, |w| w.string(3, name)),
            Change::FlushChain { name } => self.message(msg::DEL_RULE, 0, |w| w.string(2, name)),
            Change::AddRule { chain, rule } => {
                self.message(msg::NEW_RULE, flag::CREATE | flag::APPEND, |w| {
                    w.string(2, chain);
                    encode_rule(w, 4, rule, family);
                })
            }
            Change::AddElements { set, elements } => {
                for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
                    self.message(msg::NEW_SETELEM, flag::CREATE, |w| {
                        w.string(2, set);
                        w.nest(3, |w| part.iter().for_each(|(key, data)| encode_element(w, key, data)));
                    });
                }
            }
            Change::DeleteElements { set, keys } => {
                for part in keys.chunks(ELEMENTS_PER_MESSAGE) {
                    self.message(msg::DEL_SETELEM, 0, |w| {
                        w.string(2, set);
                        w.nest(3, |w| part.iter().for_each(|key| encode_element(w, key, &Data::None)));
                    });
                }
            }
        }
    }
}

fn encode_chain(w: &mut Writer, name: &Name, base: Option<BaseChain>) {
    w.string(3, name);
    let Some(base) = base else { return };
    w.nest(4, |w| {
        w.be32(1, base.hook.number());
        w.bytes(2, &base.priority.to_be_bytes());
    });
    w.be32(5, 1);
    w.string(7, &base.kind.to_string());
}

fn encode_set(w: &mut Writer, name: &Name, set: &Set, id: u32) {
    let mut flags = 0;
    if set.kind != SetKind::Set {
        flags |= set_flag::MAP;
    }
    if set.dynamic {
        flags |= set_flag::TIMEOUT | set_flag::EVAL;
    }
    w.string(2, name);
    w.be32(3, flags);
    w.be32(4, Field::concat(&set.key));
    w.be32(5, u32::try_from(set.key.len() * 4).unwrap_or(0));
    match &set.kind {
        SetKind::Set => {}
        SetKind::Map(fields) => {
            w.be32(6, Field::concat(fields));
            w.be32(7, u32::try_from(fields.len() * 4).unwrap_or(0));
        }
        SetKind::Verdicts => w.be32(6, VERDICT_TYPE),
    }
    if set.size > 0 {
        w.nest(9, |w| w.be32(1, set.size));
    }
    w.be32(10, id);
    w.bytes(13, &byte_orders(set));
}

/// User data by which `nft list ruleset` knows that a lone mark is in host order (types 0 key, 1 data; value 1).
fn byte_orders(set: &Set) -> Vec<u8> {
    let mut userdata = Vec::new();
    let host_order = |fields: &[Field]| if fields == [Field::Mark] { 1_u32 } else { 2 };
    let mut push = |kind: u8, order: u32| {
        userdata.extend([kind, 4]);
        userdata.extend(order.to_ne_bytes());
    };
    push(0, host_order(&set.key));
    if let SetKind::Map(fields) = &set.kind {
        push(1, host_order(fields));
    }
    userdata
}

fn encode_element(w: &mut Writer, key: &Bytes, data: &Data) {
    w.nest(1, |w| {
        w.nest(1, |w| w.bytes(1, key.as_slice()));
        match data {
            Data::None => {}
            Data::Bytes(bytes) => w.nest(2, |w| w.bytes(1, bytes.as_slice())),
            Data::Verdict(verdict) => w.nest(2, |w| encode_verdict(w, verdict)),
        }
    });
}
