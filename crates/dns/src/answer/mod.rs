//! From a packet to a packet: pure, total, without a clock.

mod draft;

use crate::forward::{Question, Resolved};
use crate::wire::{HEADER, Malformed, Name, Query, Rcode, Response, parse};
use crate::zone::{Reply, Zone};
use draft::{Draft, first, pointer};

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

/// The answer to what is no query: a header.
fn reject(packet: &[u8], rcode: Rcode, message: &mut Vec<u8>) -> Answered {
    let flags = draft::FLAG_RESPONSE | (packet[2] & 0x78) | (packet[2] & draft::FLAG_RECURSION_DESIRED);
    message.extend_from_slice(&[packet[0], packet[1], flags, rcode.header_bits()]);
    message.resize(HEADER, 0);
    Answered { rcode, qtype: 0 }
}
