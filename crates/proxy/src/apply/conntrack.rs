//! Removes conntrack entries, over ctnetlink.
//!
//! Linux 6.12 and later filter a deletion in the kernel (CTA_FILTER). Earlier ones refuse it, and before 5.8 an unknown
//! filter empties the whole table; there the table is dumped and what fits is deleted by its tuple.

use super::socket::Socket;
use crate::plan::{StaleFlow, protocol_number};
use sealane_nft::wire::{Attr, Message, Writer};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

const CT_GET: u16 = 1 << 8 | 1;
const CT_DELETE: u16 = 1 << 8 | 2;
const REQUEST_ACK: u16 = 0x5;
const REQUEST_DUMP: u16 = 0x301;
const AF_INET: u8 = 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const FILTER: u16 = 25;
const ENOENT: i32 = 2;
/// More flows than this are looked for in one dump: each filtered deletion walks the whole table.
const FEW: usize = 16;

/// Bits of CTA_FILTER, host order.
const IP_SRC: u32 = 1;
const IP_DST: u32 = 1 << 1;
const PROTO_NUM: u32 = 1 << 3;
const SRC_PORT: u32 = 1 << 4;
const DST_PORT: u32 = 1 << 5;

/// True from Linux 6.12 on.
pub(super) fn kernel_filters() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 12)
}

/// Removes all entries that fit one of `stale`.
pub(super) fn delete(socket: &mut Socket, stale: &[StaleFlow], filter: bool) -> io::Result<()> {
    if stale.is_empty() {
        return Ok(());
    }
    if !filter || stale.len() > FEW {
        return dump_and_delete(socket, stale);
    }
    for flow in stale {
        let sequence = socket.next();
        let request = filtered_delete(flow, sequence);
        ignore_missing(socket.transact(&request, sequence, sequence))?;
    }
    Ok(())
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
        done => done,
    }
}

/// (source, destination) address and port of a tuple; what is `None` is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tuple {
    protocol: u8,
    ips: [Option<Ipv4Addr>; 2],
    ports: [Option<u16>; 2],
}

impl Tuple {
    fn encode(&self, w: &mut Writer, kind: u16) {
        w.nest(kind, |w| {
            if self.ips.iter().any(Option::is_some) {
                w.nest(1, |w| {
                    for (kind, ip) in (1..).zip(self.ips) {
                        ip.iter().for_each(|ip| w.bytes(kind, &ip.octets()));
                    }
                });
            }
            w.nest(2, |w| {
                w.bytes(1, &[self.protocol]);
                for (kind, port) in (2..).zip(self.ports) {
                    port.iter().for_each(|port| w.bytes(kind, &port.to_be_bytes()));
                }
            });
        });
    }

    fn decode(attr: Attr<'_>) -> Option<Self> {
        let part = |kind: u16| attr.nested().find(|attr| attr.kind == kind);
        let ip = |kind: u16| {
            let value: [u8; 4] = part(1)?.nested().find(|attr| attr.kind == kind)?.value.try_into().ok()?;
            Some(Ipv4Addr::from(value))
        };
        let proto = |kind: u16| part(2)?.nested().find(|attr| attr.kind == kind).map(|attr| attr.value);
        let port = |kind: u16| Some(u16::from_be_bytes(proto(kind)?.try_into().ok()?));
        Some(Self { protocol: *proto(1)?.first()?, ips: [ip(1), ip(2)], ports: [port(2), port(3)] })
    }

    fn flags(&self) -> u32 {
        let mut flags = PROTO_NUM;
        for (flag, there) in [IP_SRC, IP_DST].into_iter().zip(self.ips.map(|ip| ip.is_some())) {
            flags |= if there { flag } else { 0 };
        }
        for (flag, there) in [SRC_PORT, DST_PORT].into_iter().zip(self.ports.map(|port| port.is_some())) {
            flags |= if there { flag } else { 0 };
        }
        flags
    }
}

fn original(flow: &StaleFlow) -> Tuple {
    let protocol = protocol_number(flow.protocol);
    Tuple { protocol, ips: [None, flow.original_ip], ports: [None, Some(flow.original_port)] }
}

fn reply(flow: &StaleFlow) -> Tuple {
    let protocol = protocol_number(flow.protocol);
    Tuple { protocol, ips: [flow.reply_ip, None], ports: [Some(flow.reply_port), None] }
}

fn filtered_delete(flow: &StaleFlow, sequence: u32) -> Vec<u8> {
    let (original, reply) = (original(flow), reply(flow));
    let mut w = Writer::default();
    w.begin(CT_DELETE, REQUEST_ACK, sequence, AF_INET, 0);
    original.encode(&mut w, TUPLE_ORIG);
    reply.encode(&mut w, TUPLE_REPLY);
    w.nest(FILTER, |w| {
        w.bytes(1, &original.flags().to_ne_bytes());
        w.bytes(2, &reply.flags().to_ne_bytes());
    });
    w.end();
    w.finish()
}

fn dump_and_delete(socket: &mut Socket, stale: &[StaleFlow]) -> io::Result<()> {
    let mut by_port: BTreeMap<u16, Vec<&StaleFlow>> = BTreeMap::new();
    stale.iter().for_each(|flow| by_port.entry(flow.original_port).or_default().push(flow));
    let mut found = Vec::new();
    let mut w = Writer::default();
    w.begin(CT_GET, REQUEST_DUMP, socket.next(), AF_INET, 0);
    w.end();
    match socket.ask(&w.finish(), false, |message| found.extend(fitting(message, &by_port))) {
        // Entries that came or went meanwhile are not the ones that are stale.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        answered => answered?,
    }
    for tuple in found {
        let sequence = socket.next();
        let mut w = Writer::default();
        w.begin(CT_DELETE, REQUEST_ACK, sequence, AF_INET, 0);
        tuple.encode(&mut w, TUPLE_ORIG);
        w.end();
        ignore_missing(socket.transact(&w.finish(), sequence, sequence))?;
    }
    Ok(())
}

/// The original tuple of a dumped entry, if it is stale.
fn fitting(message: &Message<'_>, stale: &BTreeMap<u16, Vec<&StaleFlow>>) -> Option<Tuple> {
    let tuple = |kind: u16| message.attributes().find(|attr| attr.kind == kind).and_then(Tuple::decode);
    let (from, back) = (tuple(TUPLE_ORIG)?, tuple(TUPLE_REPLY)?);
    let mut candidates = stale.get(&from.ports[1]?)?.iter();
    candidates.any(|flow| fits(original(flow), from) && fits(reply(flow), back)).then_some(from)
}

fn fits(wanted: Tuple, there: Tuple) -> bool {
    let ips = wanted.ips.iter().zip(there.ips).all(|(want, have)| want.is_none() || *want == have);
    let ports = wanted.ports.iter().zip(there.ports).all(|(want, have)| want.is_none() || *want == have);
    wanted.protocol == there.protocol && ips && ports
}
