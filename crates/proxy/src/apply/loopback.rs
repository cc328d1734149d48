//! One address on `lo`, over rtnetlink.

use super::socket::Socket;
use sealane_nft::wire::Writer;
use std::io;
use std::net::Ipv4Addr;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const REQUEST_ACK: u16 = 0x5;
const CREATE_EXCLUSIVELY: u16 = 0x600;
const AF_INET: u8 = 2;
/// Scope host: no connection to elsewhere is given this address as its source.
const SCOPE_HOST: u8 = 254;
/// `lo` is the first link of every network namespace.
const LO: u32 = 1;
const EEXIST: i32 = 17;
const EADDRNOTAVAIL: i32 = 99;

/// Adds or removes `address/32`; that it is there, or not, already is fine.
pub(super) fn change(address: Ipv4Addr, add: bool) -> io::Result<()> {
    let mut socket = Socket::open(None)?;
    let sequence = socket.next();
    let mut w = Writer::default();
    let (kind, flags) = if add { (RTM_NEWADDR, CREATE_EXCLUSIVELY) } else { (RTM_DELADDR, 0) };
    w.begin_raw(kind, REQUEST_ACK | flags, sequence);
    w.raw(&[AF_INET, 32, 0, SCOPE_HOST]);
    w.raw(&LO.to_ne_bytes());
    w.bytes(1, &address.octets());
    w.bytes(2, &address.octets());
    w.end();
    match socket.transact(&w.finish(), sequence, sequence) {
        Err(error) if matches!(error.raw_os_error(), Some(EEXIST | EADDRNOTAVAIL)) => Ok(()),
        done => done,
    }
}
