//! The veth pair of one Pod: addresses, routes and neighbours on both sides.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::VethLink;
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::route::Ipv4Route;
use nlink::netlink::types::route::RouteScope;
use nlink::{Connection, Route};

use super::{Error, io, netlink};

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
pub(super) async fn uplink_mtu() -> Option<u32> {
    let connection = Connection::<Route>::new().ok()?;
    let routes = connection.get_routes().await.ok()?;
    let index = routes.iter().find(|r| r.is_ipv4() && r.is_default())?.oif()?;
    connection.get_link_by_index(index).await.ok()??.mtu()
}

/// Makes the pair and configures both ends.
pub(super) async fn connect(pin: &Path, veth: &str, address: Ipv4Addr, mtu: u32) -> Result<(), Error> {
    let node = Connection::<Route>::new().map_err(netlink("open netlink"))?;
    let file = std::fs::File::open(pin).map_err(io(format!("open {}", pin.display())))?;
    // What a crash left under this name would be in the way.
    node.del_link_if_exists(veth).await.map_err(netlink(format!("remove an old {veth}")))?;
    let pair = VethLink::new(veth, "eth0")
        .mtu(mtu)
        .address(NODE_MAC)
        .peer_address(pod_mac(address))
        .peer_netns_fd(&file);
    node.add_link(pair).await.map_err(netlink(format!("make the link {veth}")))?;
    configure_pod(&file, address).await.map_err(netlink(format!("configure eth0 of {address}")))?;
    configure_node(&node, veth, address).await.map_err(netlink(format!("route {address} through {veth}")))
}

async fn configure_pod(netns: &std::fs::File, address: Ipv4Addr) -> Result<(), nlink::Error> {
    let pod = Connection::<Route>::new_in(netns.as_fd())?;
    pod.set_link_up("lo").await?;
    let eth0 = index(&pod, "eth0").await?;
    pod.add_address(Ipv4Address::with_index(eth0, address, 32)).await?;
    pod.set_link_up_by_index(eth0).await?;
    pod.add_neighbor(Neighbor::with_index_v4(eth0, GATEWAY).lladdr(NODE_MAC).permanent()).await?;
    pod.add_route(Ipv4Route::new(GATEWAY, 32).dev_index(eth0).scope(RouteScope::Link)).await?;
    pod.add_route(Ipv4Route::default_route().gateway(GATEWAY).dev_index(eth0)).await
}

async fn configure_node(node: &Connection<Route>, veth: &str, address: Ipv4Addr) -> Result<(), nlink::Error> {
    let link = index(node, veth).await?;
    node.set_link_up_by_index(link).await?;
    node.replace_neighbor(Neighbor::with_index_v4(link, address).lladdr(pod_mac(address)).permanent())
        .await?;
    node.replace_route(Ipv4Route::new(address, 32).dev_index(link).scope(RouteScope::Link)).await
}

async fn index(connection: &Connection<Route>, name: &str) -> Result<u32, nlink::Error> {
    let link = connection.get_link_by_name(name).await?;
    link.map(|l| l.ifindex()).ok_or_else(|| nlink::Error::interface_not_found(name))
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
