//! Links: veth pairs and bridges.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};

use super::Netlink;

/// A link as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet it carries, in bytes.
    pub mtu: u32,
    /// Whether it has been raised; it may lack a carrier all the same.
    pub up: bool,
}

/// A veth pair to be made: two links, what goes into one comes out of the other.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// The name of the end in this namespace.
    pub name: &'a str,
    /// The name of the other end.
    pub peer: &'a str,
    /// Where the other end is to be; here if none.
    pub peer_namespace: Option<BorrowedFd<'a>>,
    /// Of both ends, in bytes; the kernel's default if none.
    pub mtu: Option<u32>,
    /// The hardware address of this end; random if none.
    pub mac: Option<[u8; 6]>,
    /// The hardware address of the other end; random if none.
    pub peer_mac: Option<[u8; 6]>,
}

impl<'a> Veth<'a> {
    /// A pair with the kernel's defaults.
    pub fn new(name: &'a str, peer: &'a str) -> Self {
        Self { name, peer, peer_namespace: None, mtu: None, mac: None, peer_mac: None }
    }

    /// With the other end in that namespace.
    #[must_use]
    pub fn into_namespace(self, namespace: BorrowedFd<'a>) -> Self {
        Self { peer_namespace: Some(namespace), ..self }
    }

    fn message(&self) -> LinkMessage {
        let mut peer = end(self.peer, self.mtu, self.peer_mac);
        let place = self.peer_namespace.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd()));
        peer.attributes.extend(place);
        let mut message = end(self.name, self.mtu, self.mac);
        let data = InfoData::Veth(InfoVeth::Peer(peer));
        let info = vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(data)];
        message.attributes.push(LinkAttribute::LinkInfo(info));
        message
    }
}

fn end(name: &str, mtu: Option<u32>, mac: Option<[u8; 6]>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    message.attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    message
}

impl Netlink {
    /// Makes a veth pair.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` if a name is taken.
    pub fn add_veth(&mut self, veth: &Veth<'_>) -> io::Result<()> {
        self.change(RouteNetlinkMessage::NewLink(veth.message()), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a bridge.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` if the name is taken.
    pub fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let mut message = end(name, None, None);
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes a link, a veth with its other end; no error if there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_link(&mut self, name: &str) -> io::Result<()> {
        match self.change(RouteNetlinkMessage::DelLink(end(name, None, None)), 0) {
            Err(error) if is(&error, rustix::io::Errno::NODEV) => Ok(()),
            done => done,
        }
    }

    /// The link of that name.
    ///
    /// # Errors
    /// The kernel's; that there is none is no error.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut request = end(name, None, None);
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        match self.get(RouteNetlinkMessage::GetLink(request)) {
            Err(error) if is(&error, rustix::io::Errno::NODEV) => Ok(None),
            answered => Ok(answered?.iter().find_map(known)),
        }
    }

    /// Every link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        Ok(self.dump(&RouteNetlinkMessage::GetLink(request))?.iter().filter_map(known).collect())
    }

    /// The number of the link of that name.
    ///
    /// # Errors
    /// The kernel's: `ENODEV` if there is none.
    pub fn index(&mut self, name: &str) -> io::Result<u32> {
        let found = self.link(name)?;
        found.map(|link| link.index).ok_or_else(|| rustix::io::Errno::NODEV.into())
    }

    /// Takes a link up or down.
    ///
    /// # Errors
    /// The kernel's: `ENODEV` if there is none.
    pub fn set_up(&mut self, name: &str, up: bool) -> io::Result<()> {
        let mut message = end(name, None, None);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.change(RouteNetlinkMessage::NewLink(message), 0)
    }

    /// Makes a link a port of a bridge.
    ///
    /// # Errors
    /// The kernel's: `ENODEV` if there is no such link or bridge.
    pub fn set_bridge(&mut self, name: &str, bridge: &str) -> io::Result<()> {
        let controller = self.index(bridge)?;
        let mut message = end(name, None, None);
        message.attributes.push(LinkAttribute::Controller(controller));
        self.change(RouteNetlinkMessage::NewLink(message), 0)
    }
}

fn known(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(link) = message else { return None };
    let up = link.header.flags.contains(LinkFlags::Up);
    let mut found = Link { index: link.header.index, name: String::new(), mtu: 0, up };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            _ => {}
        }
    }
    Some(found)
}

/// Whether the kernel answered with that errno.
pub(crate) fn is(error: &io::Error, errno: rustix::io::Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
