//! Queries: untrusted bytes in, a question out.

use super::{HEADER, Name, rtype};

/// A question and what else of the message matters.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The message's identity.
    pub id: u16,
    /// The client would like recursion.
    pub recursion_desired: bool,
    /// The question's bytes: name (in the client's case), type, class.
    pub question: &'a [u8],
    /// The type asked for.
    pub qtype: u16,
    /// The class asked for.
    pub qclass: u16,
    /// What the client can take, if it sent an OPT record.
    pub edns: Option<Edns>,
    lower: [u8; 255],
    starts: [u8; 128],
    labels: usize,
}

/// An OPT record (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP payload the client can take.
    pub size: u16,
    /// Only 0 exists.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
}

/// Why a packet is no query that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Not even a header, or a response: silence.
    Ignore,
    /// A query that cannot be understood: FORMERR.
    FormErr,
    /// An operation other than a query: NOTIMP.
    NotImp,
}

impl Query<'_> {
    /// The name in lower case, in wire form.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.lower[..self.name_len()]
    }

    /// The name in lower case.
    pub(crate) fn to_name(&self) -> Name {
        Name::of_wire(self.name().to_vec())
    }

    /// The length of the name in wire form.
    #[must_use]
    pub fn name_len(&self) -> usize {
        self.question.len() - 4
    }

    /// How many labels the name has.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels
    }

    /// A label in lower case, the leftmost being 0.
    #[must_use]
    pub fn label(&self, index: usize) -> &[u8] {
        let start = usize::from(self.starts[index]);
        let length = usize::from(self.lower[start]);
        &self.lower[start + 1..start + 1 + length]
    }

    /// The name from its `index`th label on, in lower case, in wire form; just the root after the last one.
    #[must_use]
    pub fn suffix(&self, index: usize) -> &[u8] {
        let start = if index < self.labels { usize::from(self.starts[index]) } else { self.name_len() - 1 };
        &self.lower[start..self.name_len()]
    }
}

/// Reads a query.
///
/// # Errors
/// What to do with a packet that is none.
pub fn parse(packet: &[u8]) -> Result<Query<'_>, Malformed> {
    let header: &[u8; HEADER] = packet.first_chunk().ok_or(Malformed::Ignore)?;
    if header[2] & 0x80 != 0 {
        return Err(Malformed::Ignore);
    }
    if header[2] & 0x78 != 0 {
        return Err(Malformed::NotImp);
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        return Err(Malformed::FormErr);
    }
    let mut query = question(header, packet).ok_or(Malformed::FormErr)?;
    let records = u32::from(count(6)) + u32::from(count(8)) + u32::from(count(10));
    query.edns = edns(packet, HEADER + query.question.len(), records).ok_or(Malformed::FormErr)?;
    Ok(query)
}

fn question<'a>(header: &[u8; HEADER], packet: &'a [u8]) -> Option<Query<'a>> {
    let (mut starts, mut labels, mut at) = ([0; 128], 0, HEADER);
    loop {
        let length = *packet.get(at)?;
        if length == 0 {
            break;
        }
        // A question has nothing before it that a compression pointer could point to.
        if length > 63 {
            return None;
        }
        *starts.get_mut(labels)? = u8::try_from(at - HEADER).ok()?;
        labels += 1;
        at += 1 + usize::from(length);
    }
    let name_len = at + 1 - HEADER;
    let question = packet.get(HEADER..at + 5)?;
    let mut lower = [0; 255];
    let name = lower.get_mut(..name_len)?;
    name.copy_from_slice(&question[..name_len]);
    // No length of a label is as large as a letter.
    name.make_ascii_lowercase();
    let number = |at: usize| u16::from_be_bytes([question[at], question[at + 1]]);
    Some(Query {
        id: u16::from_be_bytes([header[0], header[1]]),
        recursion_desired: header[2] & 1 != 0,
        qtype: number(name_len),
        qclass: number(name_len + 2),
        question,
        edns: None,
        lower,
        starts,
        labels,
    })
}

/// Looks through the records after the question for the one OPT that may be there; `None` if they are malformed.
fn edns(packet: &[u8], mut at: usize, records: u32) -> Option<Option<Edns>> {
    let mut found = None;
    for _ in 0..records {
        let root = *packet.get(at)? == 0;
        at = skip_name(packet, at)?;
        let fixed: &[u8; 10] = packet.get(at..)?.first_chunk()?;
        at += 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if at > packet.len() {
            return None;
        }
        if u16::from_be_bytes([fixed[0], fixed[1]]) == rtype::OPT {
            if found.is_some() || !root {
                return None;
            }
            let size = u16::from_be_bytes([fixed[2], fixed[3]]);
            found = Some(Edns { size, version: fixed[5], dnssec_ok: fixed[6] & 0x80 != 0 });
        }
    }
    Some(found)
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0..=0xFF => return packet.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}
