//! From a packet to a packet: pure, total, without a clock.

use crate::forward::{Question, Resolved};
use crate::wire::{
    Builder, Edns, HEADER, Malformed, Name, Owner, Query, Rcode, Record, RecordSet, Response, parse, rtype,
};
use crate::zone::{Reply, TTL_S, Zone};

/// What carries the message; it decides how long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// 512 bytes, or what the client's OPT record allows.
    Udp,
    /// 65,535 bytes.
    Tcp,
}

/// What was answered, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The response code.
    pub rcode: Rcode,
    /// The type asked for; 0 if the query was malformed.
    pub qtype: u16,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It deserves no answer.
    Ignored,
    /// The answer is written.
    Answered(Answered),
    /// Others know the answer.
    Elsewhere(Elsewhere),
}

/// A question for others, and what the zone knows of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub(crate) question: Question,
    /// The aliases that lead from the name asked for to that of the question.
    chain: Vec<Name>,
}

/// UDP payload without EDNS (RFC 1035).
const SMALL: usize = 512;
/// An OPT record without options.
const OPT_LENGTH: usize = 11;
const FLAG_RESPONSE: u8 = 0x80;
const FLAG_AUTHORITATIVE: u8 = 0x04;
const FLAG_TRUNCATED: u8 = 0x02;
const FLAG_RECURSION_DESIRED: u8 = 0x01;
/// These two are in the header's fourth byte.
const FLAG_RECURSION_AVAILABLE: u8 = 0x80;
const FLAG_AUTHENTIC: u8 = 0x20;

/// Answers `packet` by writing into `message`, whose content before is dropped. `turn`
/// says which of several records comes first, so that clients spread.
pub fn answer(
    zone: &Zone,
    packet: &[u8],
    transport: Transport,
    turn: usize,
    message: &mut Vec<u8>,
) -> Outcome {
    message.clear();
    let query = match parse(packet) {
        Ok(query) => query,
        Err(Malformed::Ignore) => return Outcome::Ignored,
        Err(Malformed::FormErr) => return Outcome::Answered(reject(packet, Rcode::FormErr, message)),
        Err(Malformed::NotImp) => return Outcome::Answered(reject(packet, Rcode::NotImp, message)),
    };
    let mut draft = Draft::new(message, &query, transport);
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Outcome::Answered(draft.finish(&query, Rcode::BadVers));
    }
    let reply = zone.lookup(&query);
    let rcode = match &reply {
        Reply::Records { answer, additional } => {
            draft.authoritative = true;
            draft.answers = answer.write(draft.message, first(turn, answer.len()), draft.limit);
            draft.truncated = usize::from(draft.answers) < answer.len();
            if let Some(additional) = additional.as_ref().filter(|_| !draft.truncated) {
                draft.additional = additional.write(draft.message, 0, draft.limit);
            }
            Rcode::NoError
        }
        Reply::Alias { targets, answer: None } if zone.forwards() => return elsewhere(&query, targets),
        Reply::Alias { targets, answer } => {
            draft.authoritative = true;
            draft.alias(targets, answer.as_deref(), turn);
            Rcode::NoError
        }
        Reply::Elsewhere => return elsewhere(&query, &[]),
        Reply::NoData(_) => Rcode::NoError,
        Reply::NxDomain(_) => Rcode::NxDomain,
        Reply::ServFail(_) => Rcode::ServFail,
        Reply::Refused => Rcode::Refused,
    };
    if let Some((apex, soa)) = reply.authority() {
        draft.authoritative = rcode != Rcode::ServFail;
        // The zone's name is the end of the question's, in the client's case.
        let owner = HEADER + query.name_len() - apex.wire().len();
        draft.authority = soa.write_for(draft.message, 0, draft.limit, pointer(owner));
    }
    Outcome::Answered(draft.finish(&query, rcode))
}

fn elsewhere(query: &Query<'_>, chain: &[&Name]) -> Outcome {
    let name = chain.last().map_or_else(|| query.to_name(), |target| target.to_lowercase());
    let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
    let question = Question { name, qtype: query.qtype, dnssec_ok };
    Outcome::Elsewhere(Elsewhere { question, chain: chain.iter().map(|name| (*name).clone()).collect() })
}

/// Answers `packet` with what others said, as [`answer`] does; `None` if it is no query.
///
/// An upstream's failure is SERVFAIL, also behind an alias: an alias alone would say that there is nothing.
pub(crate) fn relay(
    packet: &[u8],
    elsewhere: &Elsewhere,
    resolved: &Resolved,
    transport: Transport,
    message: &mut Vec<u8>,
) -> Option<Answered> {
    message.clear();
    let query = parse(packet).ok()?;
    let mut draft = Draft::new(message, &query, transport);
    draft.recursion_available = true;
    let rcode = match resolved {
        Resolved::Failed => Rcode::ServFail,
        Resolved::Refused => Rcode::Refused,
        Resolved::Answer { response, ttl_s } => {
            draft.response(elsewhere, response, *ttl_s);
            let denied = response.rcode == Response::NX_DOMAIN && elsewhere.chain.is_empty();
            if denied { Rcode::NxDomain } else { Rcode::NoError }
        }
    };
    Some(draft.finish(&query, rcode))
}

fn first(turn: usize, records: usize) -> usize {
    if records > 1 { turn % records } else { 0 }
}

/// A place in the message that names may point to.
fn pointer(at: usize) -> u16 {
    u16::try_from(at).expect("pointers are made to the question and the few aliases after it")
}

/// The answer to what is no query: a header.
fn reject(packet: &[u8], rcode: Rcode, message: &mut Vec<u8>) -> Answered {
    let flags = FLAG_RESPONSE | (packet[2] & 0x78) | (packet[2] & FLAG_RECURSION_DESIRED);
    message.extend_from_slice(&[packet[0], packet[1], flags, rcode.header_bits()]);
    message.resize(HEADER, 0);
    Answered { rcode, qtype: 0 }
}

/// A message being written.
struct Draft<'m> {
    message: &'m mut Vec<u8>,
    limit: usize,
    answers: u16,
    authority: u16,
    additional: u16,
    authoritative: bool,
    truncated: bool,
    recursion_available: bool,
    authentic: bool,
}

impl<'m> Draft<'m> {
    fn new(message: &'m mut Vec<u8>, query: &Query<'_>, transport: Transport) -> Self {
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
    fn alias(&mut self, targets: &[&Name], answer: Option<&RecordSet>, turn: usize) {
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
    fn response(&mut self, elsewhere: &Elsewhere, response: &Response, ttl_s: u32) {
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
    fn finish(mut self, query: &Query<'_>, rcode: Rcode) -> Answered {
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
