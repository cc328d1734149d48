//! Unicast routes of the main table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::Netlink;
use super::address::family;
use super::link::is;

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The range's first address.
    pub destination: IpAddr,
    /// The range's length; 0 is everything.
    pub prefix: u8,
    /// The next hop; none if the range is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The link's number; may be left to the kernel if there is a gateway.
    pub link: Option<u32>,
    /// Who made it, `RTPROT_*`.
    pub protocol: u8,
}

/// `RTPROT_BOOT`: made by hand, as `ip route` does.
const BY_HAND: u8 = 3;

impl Route {
    /// A route to a range.
    pub fn new(destination: impl Into<IpAddr>, prefix: u8) -> Self {
        Self { destination: destination.into(), prefix, gateway: None, link: None, protocol: BY_HAND }
    }

    /// The route to everything, IPv4.
    pub fn default_v4() -> Self {
        Self::new(Ipv4Addr::UNSPECIFIED, 0)
    }

    /// Through that next hop.
    #[must_use]
    pub fn via(self, gateway: impl Into<IpAddr>) -> Self {
        Self { gateway: Some(gateway.into()), ..self }
    }

    /// Over the link of that number.
    #[must_use]
    pub fn over(self, link: u32) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Marked as made by that protocol.
    #[must_use]
    pub fn by(self, protocol: u8) -> Self {
        Self { protocol, ..self }
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.destination);
        message.header.destination_prefix_length = self.prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::from(self.protocol);
        message.header.kind = RouteType::Unicast;
        if self.gateway.is_none() && self.destination.is_ipv4() {
            message.header.scope = RouteScope::Link;
        }
        message.attributes.push(RouteAttribute::Destination(self.destination.into()));
        message.attributes.extend(self.gateway.map(|ip| RouteAttribute::Gateway(ip.into())));
        message.attributes.extend(self.link.map(RouteAttribute::Oif));
        message
    }
}

impl Netlink {
    /// Sets a route, in place of one to the same range.
    ///
    /// # Errors
    /// The kernel's: `ENETUNREACH` if no link leads to the gateway.
    pub fn set_route(&mut self, route: &Route) -> io::Result<()> {
        self.change(RouteNetlinkMessage::NewRoute(route.message()), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes a route; no error if there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_route(&mut self, route: &Route) -> io::Result<()> {
        match self.change(RouteNetlinkMessage::DelRoute(route.message()), 0) {
            Err(error) if is(&error, rustix::io::Errno::SRCH) => Ok(()),
            done => done,
        }
    }

    /// The unicast routes of the main table, of both families.
    ///
    /// # Errors
    /// The kernel's.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let all = self.dump(&RouteNetlinkMessage::GetRoute(RouteMessage::default()))?;
        Ok(all.iter().filter_map(known).collect())
    }
}

fn known(message: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(route) = message else { return None };
    let header = &route.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let everything = match header.address_family {
        netlink_packet_route::AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let mut found = Route::new(everything, header.destination_prefix_length).by(u8::from(header.protocol));
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => found.destination = ip(address)?,
            RouteAttribute::Gateway(address) => found.gateway = ip(address),
            RouteAttribute::Oif(link) => found.link = Some(*link),
            _ => {}
        }
    }
    Some(found)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
