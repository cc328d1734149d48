//! Record sets as bytes that are ready to be copied into a message.

use super::{CLASS_IN, HEADER, Name, rtype};
use std::net::IpAddr;

/// Records in wire form, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordSet {
    bytes: Box<[u8]>,
    /// Where each record ends.
    ends: Box<[u32]>,
}

/// Whose a record is.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// The name in the question, in its case, by a pointer to it.
    Question,
    /// A name of its own.
    Name(&'a Name),
}

impl RecordSet {
    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends the records, from the one numbered `first` on and then those before it, as long as `message` stays within
    /// `limit`; returns how many fitted.
    pub fn write(&self, message: &mut Vec<u8>, first: usize, limit: usize) -> u16 {
        if first == 0 && message.len() + self.bytes.len() <= limit {
            message.extend_from_slice(&self.bytes);
            return u16::try_from(self.len()).unwrap_or(u16::MAX);
        }
        let mut written = 0;
        for index in (first..self.len()).chain(0..first.min(self.len())) {
            let record = self.record(index);
            if message.len() + record.len() > limit {
                break;
            }
            message.extend_from_slice(record);
            written += 1;
        }
        written
    }

    /// As [`Self::write`], for records of [`Owner::Question`] that are to belong to the name at `owner` in the message.
    pub fn write_for(&self, message: &mut Vec<u8>, first: usize, limit: usize, owner: u16) -> u16 {
        let start = message.len();
        let written = self.write(message, first, limit);
        let mut at = start;
        for index in (first..self.len()).chain(0..first.min(self.len())).take(usize::from(written)) {
            message[at..at + 2].copy_from_slice(&(0xC000 | owner).to_be_bytes());
            at += self.record(index).len();
        }
        written
    }

    fn record(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }
}

/// Makes a record set.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    ttl_s: u32,
}

impl Builder {
    /// Of records that may be kept for `ttl_s` seconds.
    #[must_use]
    pub fn new(ttl_s: u32) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), ttl_s }
    }

    /// A or AAAA.
    pub fn address(&mut self, owner: Owner<'_>, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.record(owner, rtype::A, &[&ip.octets()]),
            IpAddr::V6(ip) => self.record(owner, rtype::AAAA, &[&ip.octets()]),
        }
    }

    /// SRV, with priority 0.
    pub fn srv(&mut self, owner: Owner<'_>, weight: u16, port: u16, target: &Name) {
        let fixed = [[0, 0], weight.to_be_bytes(), port.to_be_bytes()];
        self.record(owner, rtype::SRV, &[fixed.as_flattened(), target.wire()]);
    }

    /// A record of a type whose data is a name: CNAME, PTR, NS.
    pub fn name(&mut self, owner: Owner<'_>, rtype: u16, target: &Name) {
        self.record(owner, rtype, &[target.wire()]);
    }

    /// TXT of one string, cut after 255 bytes.
    pub fn text(&mut self, owner: Owner<'_>, text: &str) {
        let text = &text.as_bytes()[..text.len().min(255)];
        self.record(owner, rtype::TXT, &[&[u8::try_from(text.len()).unwrap_or(u8::MAX)], text]);
    }

    /// Any record.
    pub fn record(&mut self, owner: Owner<'_>, rtype: u16, data: &[&[u8]]) {
        let length: usize = data.iter().map(|part| part.len()).sum();
        let Ok(length) = u16::try_from(length) else { return };
        match owner {
            // Always where the header ends.
            #[expect(clippy::cast_possible_truncation, reason = "12")]
            Owner::Question => self.bytes.extend_from_slice(&[0xC0, HEADER as u8]),
            Owner::Name(name) => self.bytes.extend_from_slice(name.wire()),
        }
        self.bytes.extend_from_slice(&rtype.to_be_bytes());
        self.bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.bytes.extend_from_slice(&self.ttl_s.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        data.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.ends.push(u32::try_from(self.bytes.len()).expect("a record set is far from 4 GiB"));
    }

    /// The set.
    #[must_use]
    pub fn build(self) -> RecordSet {
        RecordSet { bytes: self.bytes.into(), ends: self.ends.into() }
    }
}
