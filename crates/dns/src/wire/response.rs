//! Answers of other servers: untrusted bytes in, records out, their names written out in full.

use super::{CLASS_IN, HEADER, Name, rtype};

/// What another server said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The response code of the header.
    pub rcode: u8,
    /// TC: there is more, over TCP.
    pub truncated: bool,
    /// AD: that server has checked the signatures.
    pub authentic: bool,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section, without the OPT record.
    pub additional: Vec<Record>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// How long it may be kept, in seconds.
    pub ttl_s: u32,
    /// Its data, without compression.
    pub data: Box<[u8]>,
}

impl Response {
    /// NOERROR.
    pub const NO_ERROR: u8 = 0;
    /// NXDOMAIN.
    pub const NX_DOMAIN: u8 = 3;

    /// Reads the answer to `question` (name, type and class as sent) with this identity; `None` if it is not that, or
    /// cannot be read.
    #[must_use]
    pub fn read(packet: &[u8], id: u16, question: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = packet.first_chunk()?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let is_response = header[2] & 0xF8 == 0x80;
        if count(0) != id || !is_response || count(4) != 1 {
            return None;
        }
        let asked = packet.get(HEADER..HEADER + question.len())?;
        let name = question.len().checked_sub(4)?;
        if !asked[..name].eq_ignore_ascii_case(&question[..name]) || asked[name..] != question[name..] {
            return None;
        }
        let mut response = Self {
            rcode: header[3] & 0x0F,
            truncated: header[2] & 2 != 0,
            authentic: header[3] & 0x20 != 0,
            ..Self::default()
        };
        if response.truncated {
            // The rest is incomplete and will be asked for again.
            return Some(response);
        }
        let mut at = HEADER + question.len();
        let sections = [&mut response.answer, &mut response.authority, &mut response.additional];
        for (section, number) in sections.into_iter().zip([count(6), count(8), count(10)]) {
            for _ in 0..number {
                let (record, next) = record(packet, at)?;
                at = next;
                if record.rtype != rtype::OPT {
                    section.push(record);
                }
            }
        }
        Some(response)
    }

    /// How long all of it may be kept, in seconds: the least of the answer's records; of a negative answer what its SOA
    /// says (RFC 2308 §5). `None` if it may not be kept.
    #[must_use]
    pub fn ttl_s(&self) -> Option<u32> {
        if !self.is_negative() {
            return self.answer.iter().map(|record| record.ttl_s).min();
        }
        let soa = self.authority.iter().find(|record| record.rtype == rtype::SOA)?;
        let minimum: [u8; 4] = *soa.data.last_chunk()?;
        let aliases = self.answer.iter().map(|record| record.ttl_s).min();
        Some(soa.ttl_s.min(u32::from_be_bytes(minimum)).min(aliases.unwrap_or(u32::MAX)))
    }

    /// Whether it says that there is nothing: no such name, or nothing of that type, behind aliases too.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.rcode == Self::NX_DOMAIN || self.answer.iter().all(|record| record.rtype == rtype::CNAME)
    }
}

fn record(packet: &[u8], at: usize) -> Option<(Record, usize)> {
    let (owner, at) = name(packet, at)?;
    let fixed: &[u8; 10] = packet.get(at..)?.first_chunk()?;
    let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let (rtype, class) = (number(0), number(2));
    let ttl_s = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let (start, end) = (at + 10, at + 10 + usize::from(number(8)));
    packet.get(start..end)?;
    let data = data(packet, start, end, if class == CLASS_IN { rtype } else { 0 })?;
    // A time to live with its first bit set is 0 (RFC 2181 §8).
    let ttl_s = if ttl_s > i32::MAX.unsigned_abs() { 0 } else { ttl_s };
    Some((Record { owner, rtype, class, ttl_s, data }, end))
}

/// The data of a record. Only the types of RFC 1035 and SRV may hold compressed names (RFC 3597 §4).
fn data(packet: &[u8], start: usize, end: usize, rtype: u16) -> Option<Box<[u8]>> {
    let (before, names, after) = match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME => (0, 1, 0),
        rtype::MX => (2, 1, 0),
        rtype::SRV => (6, 1, 0),
        rtype::SOA => (0, 2, 20),
        _ => return Some(packet[start..end].into()),
    };
    let mut data = packet.get(start..start + before)?.to_vec();
    let mut at = start + before;
    for _ in 0..names {
        let (name, next) = name(packet, at)?;
        data.extend_from_slice(name.wire());
        at = next;
    }
    data.extend_from_slice(packet.get(at..at + after)?);
    (at + after == end).then(|| data.into())
}

/// The name at `at`, and where what follows it begins. Pointers lead back only, so that every name ends.
fn name(packet: &[u8], at: usize) -> Option<(Name, usize)> {
    let (mut wire, mut at, mut floor, mut next) = (Vec::new(), at, at, None);
    loop {
        match *packet.get(at)? {
            0 => break,
            length @ 1..=63 => {
                let end = at + 1 + usize::from(length);
                wire.extend_from_slice(packet.get(at..end)?);
                at = end;
            }
            high @ 0xC0..=0xFF => {
                let low = *packet.get(at + 1)?;
                next.get_or_insert(at + 2);
                at = usize::from(u16::from_be_bytes([high & 0x3F, low]));
                if at >= floor {
                    return None;
                }
                floor = at;
            }
            _ => return None,
        }
        if wire.len() > 254 {
            return None;
        }
    }
    wire.push(0);
    Some((Name::of_wire(wire), next.unwrap_or(at + 1)))
}
