//! The veth pair of one Pod: addresses, routes and neighbours on both sides.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use sealane_netlink::{Netlink, Route, Veth};

use super::{Error, io};

/// The next hop of every Pod. No interface has it; the permanent neighbour entry makes it work.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The hardware address of the node's end of every pair. Each pair is a link of its own, so they may be equal.
const NODE_MAC: [u8; 6] = [0xee; 6];

/// The name of the node's end: 15 characters at most, told from the uid alone.
pub(super) fn veth_name(uid: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(uid.as_bytes());
    let hex: String = digest.iter().take(5).map(|b| format!("{b:02x}")).collect();
    format!("veth{hex}")
}

/// A locally administered hardware address made of the Pod's IP address.
fn pod_mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// The MTU of the link with the default route, which Pods take over.
pub(super) fn uplink_mtu() -> Option<u32> {
    let mut node = Netlink::here().ok()?;
    let index = node.routes().ok()?.iter().find(|r| r.prefix == 0 && r.destination.is_ipv4())?.link?;
    node.links().ok()?.into_iter().find(|link| link.index == index).map(|link| link.mtu)
}

/// Makes the pair and configures both ends.
pub(super) fn connect(pin: &Path, veth: &str, address: Ipv4Addr, mtu: u32) -> Result<(), Error> {
    let mut node = Netlink::here().map_err(io("open netlink"))?;
    let namespace = File::open(pin).map_err(io(format!("open {}", pin.display())))?;
    // What a crash left under this name would be in the way.
    node.remove_link(veth).map_err(io(format!("remove an old {veth}")))?;
    let pair = Veth {
        mtu: Some(mtu),
        mac: Some(NODE_MAC),
        peer_mac: Some(pod_mac(address)),
        ..Veth::new(veth, "eth0").into_namespace(namespace.as_fd())
    };
    node.add_veth(&pair).map_err(io(format!("make the link {veth}")))?;
    configure_pod(pin, address).map_err(io(format!("configure eth0 of {address}")))?;
    configure_node(&mut node, veth, address).map_err(io(format!("route {address} through {veth}")))
}

fn configure_pod(pin: &Path, address: Ipv4Addr) -> std::io::Result<()> {
    let mut pod = Netlink::inside(pin)?;
    pod.set_up("lo", true)?;
    pod.add_address("eth0", address.into(), 32)?;
    pod.set_up("eth0", true)?;
    pod.set_neighbour("eth0", GATEWAY.into(), NODE_MAC)?;
    let eth0 = pod.index("eth0")?;
    pod.set_route(&Route::new(GATEWAY, 32).over(eth0))?;
    pod.set_route(&Route::default_v4().via(GATEWAY).over(eth0))
}

fn configure_node(node: &mut Netlink, veth: &str, address: Ipv4Addr) -> std::io::Result<()> {
    node.set_up(veth, true)?;
    node.set_neighbour(veth, address.into(), pod_mac(address))?;
    let link = node.index(veth)?;
    node.set_route(&Route::new(address, 32).over(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let a = veth_name("11111111-2222-3333-4444-555555555555");
        let b = veth_name("11111111-2222-3333-4444-555555555556");
        assert!(a.len() <= 15 && a.starts_with("veth") && a != b);
    }

    #[test]
    fn hardware_addresses_are_local_unicast() {
        assert_eq!(pod_mac(Ipv4Addr::new(10, 244, 0, 7)), [0x0a, 0x58, 10, 244, 0, 7]);
        assert_eq!(pod_mac(Ipv4Addr::UNSPECIFIED)[0] & 0b11, 0b10);
    }
}
