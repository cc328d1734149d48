//! Labels of the cluster's names.

use crate::wire::push_label;
use sealane_model::{Endpoint, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The key of a Service: the wire form of `service.namespace`.
pub(super) fn service_key(name: &[u8], namespace: &[u8]) -> Option<Box<[u8]>> {
    let mut key = Vec::with_capacity(name.len() + namespace.len() + 2);
    push_label(&mut key, name)?;
    push_label(&mut key, namespace)?;
    Some(key.into())
}

/// The label of an endpoint below its Service: its hostname, or its address with dashes.
pub(super) fn endpoint_label(endpoint: &Endpoint) -> Box<[u8]> {
    match &endpoint.hostname {
        Some(hostname) => hostname.to_ascii_lowercase().into_bytes().into(),
        None => dashed(endpoint.ip).into_bytes().into(),
    }
}

/// An address as a label: `10-1-0-5`, `fd00--1`; a final dash, which no label may have, gets a 0.
pub(super) fn dashed(ip: IpAddr) -> String {
    let mut label = ip.to_string().replace(['.', ':'], "-");
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

/// What a label spells, if it spells an address.
pub(super) fn undashed(label: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(label).ok()?;
    if let Ok(ip) = text.replace('-', ".").parse::<Ipv4Addr>() {
        return Some(ip.into());
    }
    text.replace('-', ":").parse::<Ipv6Addr>().ok().map(Into::into)
}

/// `tcp`, `udp`, `sctp`, with or without an underscore.
pub(super) fn protocol(label: &[u8]) -> Option<Protocol> {
    match label.strip_prefix(b"_").unwrap_or(label) {
        b"tcp" => Some(Protocol::Tcp),
        b"udp" => Some(Protocol::Udp),
        b"sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}
