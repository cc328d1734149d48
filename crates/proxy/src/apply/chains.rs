//! What other tables do to packets that are forwarded.

use super::socket::Socket;
use sealane_nft::Hook;
use sealane_nft::wire::{Message, chains_request};
use std::io;

/// `NF_DROP` as a chain's policy.
const DROP: u32 = 0;

/// The base chains in `forward`, of any table and family, that drop what no rule accepts: (table, chain). As Docker's does. Sealane's own
/// chains never have that policy.
///
/// # Errors
/// The kernel's.
pub fn forward_chains_that_drop() -> io::Result<Vec<(String, String)>> {
    let mut socket = Socket::open(Some(rustix::net::netlink::NETFILTER))?;
    let request = chains_request(socket.next());
    let mut found = Vec::new();
    socket.ask(&request, false, |message| found.extend(forward_drop(message)))?;
    Ok(found)
}

fn forward_drop(message: &Message<'_>) -> Option<(String, String)> {
    let attribute = |kind| message.attributes().find(|a| a.kind == kind);
    let hook = attribute(4)?.nested().find(|a| a.kind == 1)?.be32()?;
    let drops = hook == Hook::Forward.number() && attribute(5)?.be32()? == DROP;
    drops.then_some((attribute(1)?.text()?.to_owned(), attribute(3)?.text()?.to_owned()))
}
