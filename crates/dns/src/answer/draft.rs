//! A message being written, within what its transport and its reader can take.

use super::{Answered, Elsewhere, Transport};
use crate::wire::{Builder, Edns, HEADER, Name, Owner, Query, Rcode, Record, RecordSet, Response, rtype};
use crate::zone::TTL_S;

/// UDP payload without EDNS (RFC 1035).
const SMALL: usize = 512;
/// An OPT record without options.
const OPT_LENGTH: usize = 11;
pub(super) const FLAG_RESPONSE: u8 = 0x80;
const FLAG_AUTHORITATIVE: u8 = 0x04;
const FLAG_TRUNCATED: u8 = 0x02;
pub(super) const FLAG_RECURSION_DESIRED: u8 = 0x01;
/// These two are in the header's fourth byte.
const FLAG_RECURSION_AVAILABLE: u8 = 0x80;
const FLAG_AUTHENTIC: u8 = 0x20;

/// A message being written.
pub(super) struct Draft<'m> {
    pub(super) message: &'m mut Vec<u8>,
    pub(super) limit: usize,
    pub(super) answers: u16,
    pub(super) authority: u16,
    pub(super) additional: u16,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    pub(super) recursion_available: bool,
    authentic: bool,
}

impl<'m> Draft<'m> {
    pub(super) fn new(message: &'m mut Vec<u8>, query: &Query<'_>, transport: Transport) -> Self {
        message.resize(HEADER, 0);
        message.extend_from_slice(query.question);
        let limit = match (transport, query.edns) {
            (Transport::Tcp, _) => usize::from(u16::MAX),
            (Transport::Udp, Some(edns)) => usize::from(edns.size).max(SMALL),
            (Transport::Udp, None) => SMALL,
        };
        let limit = if query.edns.is_some() { limit - OPT_LENGTH } else { limit };
        Self {
            message,
            limit,
            answers: 0,
            authority: 0,
            additional: 0,
            authoritative: false,
            truncated: false,
            recursion_available: false,
            authentic: false,
        }
    }

    /// Aliases, and the last target's records.
    pub(super) fn alias(&mut self, targets: &[&Name], answer: Option<&RecordSet>, turn: usize) {
        let Some(owner) = self.chain(targets.iter().copied()) else { return };
        if let Some(records) = answer {
            let written = records.write_for(self.message, first(turn, records.len()), self.limit, owner);
            self.answers += written;
            self.truncated = usize::from(written) < records.len();
        }
    }

    /// Aliases, each owned by the target of the one before; returns where the last target's name is, if they fit.
    fn chain<'n>(&mut self, targets: impl Iterator<Item = &'n Name>) -> Option<u16> {
        let mut owner = pointer(HEADER);
        for target in targets {
            let mut cname = Builder::new(TTL_S);
            cname.name(Owner::Question, rtype::CNAME, target);
            let start = self.message.len();
            if cname.build().write_for(self.message, 0, self.limit, owner) == 0 {
                self.truncated = true;
                return None;
            }
            self.answers += 1;
            // Owner, type, class, time to live and length come before the target's name.
            owner = pointer(start + 12);
        }
        Some(owner)
    }

    /// Aliases of ours, and what an upstream said of the last.
    pub(super) fn response(&mut self, elsewhere: &Elsewhere, response: &Response, ttl_s: u32) {
        let own = elsewhere.chain.is_empty();
        (self.authoritative, self.authentic) = (!own, own && response.authentic);
        let Some(owner) = self.chain(elsewhere.chain.iter()) else { return };
        let mut names = vec![(elsewhere.question.name.clone(), owner)];
        self.answers += self.records(&response.answer, ttl_s, &mut names, false);
        // The chain is written whole here.
        self.truncated = usize::from(self.answers) < elsewhere.chain.len() + response.answer.len();
        if own && !self.truncated {
            self.authority = self.records(&response.authority, ttl_s, &mut names, true);
            self.additional = self.records(&response.additional, ttl_s, &mut names, true);
        }
    }

    /// Writes records as long as there is room, or all or none; returns how many. An owner that is in `names`, by its
    /// lower case, becomes a pointer; the others are added.
    fn records(&mut self, records: &[Record], ttl_s: u32, names: &mut Vec<(Name, u16)>, all: bool) -> u16 {
        let (start, mut written) = (self.message.len(), 0);
        for record in records {
            let before = self.message.len();
            self.record(record, ttl_s, names);
            if self.message.len() > self.limit {
                self.message.truncate(if all { start } else { before });
                return if all { 0 } else { written };
            }
            written += 1;
        }
        written
    }

    fn record(&mut self, record: &Record, ttl_s: u32, names: &mut Vec<(Name, u16)>) {
        let owner = record.owner.to_lowercase();
        match names.iter().find(|(name, _)| *name == owner) {
            Some((_, at)) => self.message.extend_from_slice(&(0xC000 | at).to_be_bytes()),
            None => {
                let at = self.message.len();
                self.message.extend_from_slice(record.owner.wire());
                names.extend(u16::try_from(at).ok().filter(|at| *at < 0x4000).map(|at| (owner, at)));
            }
        }
        let length = u16::try_from(record.data.len()).expect("it was read from a record");
        self.message.extend_from_slice(&record.rtype.to_be_bytes());
        self.message.extend_from_slice(&record.class.to_be_bytes());
        self.message.extend_from_slice(&record.ttl_s.min(ttl_s).to_be_bytes());
        self.message.extend_from_slice(&length.to_be_bytes());
        self.message.extend_from_slice(&record.data);
    }

    /// Writes the header and the OPT record.
    pub(super) fn finish(mut self, query: &Query<'_>, rcode: Rcode) -> Answered {
        if let Some(edns) = query.edns {
            self.opt(edns, rcode);
        }
        let mut flags = FLAG_RESPONSE;
        for (set, flag) in [
            (self.authoritative, FLAG_AUTHORITATIVE),
            (self.truncated, FLAG_TRUNCATED),
            (query.recursion_desired, FLAG_RECURSION_DESIRED),
        ] {
            if set {
                flags |= flag;
            }
        }
        self.message[..2].copy_from_slice(&query.id.to_be_bytes());
        let available = if self.recursion_available { FLAG_RECURSION_AVAILABLE } else { 0 };
        let authentic = if self.authentic { FLAG_AUTHENTIC } else { 0 };
        self.message[2..4].copy_from_slice(&[flags, rcode.header_bits() | available | authentic]);
        let counts = [1, self.answers, self.authority, self.additional].map(u16::to_be_bytes);
        self.message[4..HEADER].copy_from_slice(counts.as_flattened());
        Answered { rcode, qtype: query.qtype }
    }

    fn opt(&mut self, edns: Edns, rcode: Rcode) {
        let [high, low] = edns.size.to_be_bytes();
        let flags = if edns.dnssec_ok { 0x80 } else { 0 };
        let [type_high, type_low] = rtype::OPT.to_be_bytes();
        let opt: [u8; OPT_LENGTH] =
            [0, type_high, type_low, high, low, rcode.extended_bits(), 0, flags, 0, 0, 0];
        self.message.extend_from_slice(&opt);
        self.additional += 1;
    }
}

/// Which of so many records comes first.
pub(super) fn first(turn: usize, records: usize) -> usize {
    if records > 1 { turn % records } else { 0 }
}

/// A place in the message that names may point to.
pub(super) fn pointer(at: usize) -> u16 {
    u16::try_from(at).expect("pointers are made to the question and the few aliases after it")
}
