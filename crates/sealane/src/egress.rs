//! `--egress nat`: the way of Pods to the outside. The wire masquerades behind one address of a /30 that it shares with the
//! host; the host masquerades that address behind its own.
//!
//! The host gains one link, one route, one table `sealane-NAME` and, if it was 0, `ip_forward=1`; `down` takes them away.

use crate::cluster::{Cluster, Egress, Paths};
use crate::wire::{Doing, WireError, in_namespace};
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::VethLink;
use nlink::netlink::nftables::config::NftablesConfig;
use nlink::netlink::nftables::types::{BaseChain, Family, Hook, NatHook, Priority};
use nlink::netlink::route::Ipv4Route;
use nlink::{Connection, Nftables, Route};
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

const UPLINK: &str = "uplink";
/// The verdict of a chain whose policy is drop (`linux/netfilter.h`).
const NF_DROP: u32 = 0;
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes what is missing. Returns what may keep packets from passing, for `up` to say.
pub(crate) async fn ensure(cluster: &Cluster) -> Result<Vec<String>, WireError> {
    if cluster.egress == Egress::None {
        return Ok(Vec::new());
    }
    let host = Connection::<Route>::new().doing("open the host's links")?;
    let link = host_link(&cluster.name);
    if host.get_link_by_name(link.as_str()).await.doing("look up the host's link")?.is_none() {
        let pair = free_pair(&host).await?;
        link_host(cluster, &host, &link, pair).await?;
        let tables = Connection::<Nftables>::new().doing("open the host's nftables")?;
        masquerade(&tables, &table(&cluster.name), pair.1, &link, false).await?;
    }
    forward_on_host().doing("let the host forward")?;
    dropping_tables(&table(&cluster.name)).await
}

/// Takes the host's link, table and, with the last such cluster, its `ip_forward` away.
pub(crate) async fn remove(cluster: &Cluster) -> Result<(), WireError> {
    if cluster.egress == Egress::None {
        return Ok(());
    }
    let host = Connection::<Route>::new().doing("open the host's links")?;
    host.del_link_if_exists(host_link(&cluster.name).as_str()).await.doing("remove the host's link")?;
    let tables = Connection::<Nftables>::new().doing("open the host's nftables")?;
    tables
        .del_table_if_exists(table(&cluster.name).as_str(), Family::Ip)
        .await
        .doing("remove the host's table")?;
    let others = Cluster::all().into_iter().filter(|c| c.name != cluster.name && c.egress == Egress::Nat);
    if others.filter(|c| c.paths().netns("wire").exists()).count() == 0 && was_off().exists() {
        let _ = std::fs::write(IP_FORWARD, "0").and_then(|()| std::fs::remove_file(was_off()));
    }
    Ok(())
}

/// A link's name has at most 15 bytes; a longer cluster name is cut and told apart by a checksum.
fn host_link(cluster: &str) -> String {
    if cluster.len() <= 12 {
        return format!("sl-{cluster}");
    }
    let sum = cluster.bytes().fold(5381_u32, |sum, byte| sum.wrapping_mul(33) ^ u32::from(byte));
    format!("sl-{}-{:05x}", &cluster[..6], sum & 0xf_ffff)
}

fn table(cluster: &str) -> String {
    format!("sealane-{cluster}")
}

/// Remembers, beside the clusters' states, that the host did not forward.
fn was_off() -> PathBuf {
    Paths::roots()[0].join("ip_forward-was-off")
}

/// The first /30 of 169.254.200.0/22 that no address of the host is in: (host's, wire's). Link-local, so that no VPN's range is met.
async fn free_pair(host: &Connection<Route>) -> Result<(Ipv4Addr, Ipv4Addr), WireError> {
    let taken = host.get_addresses().await.doing("list the host's addresses")?;
    let taken: Vec<u32> = taken
        .iter()
        .filter_map(|a| match a.address() {
            Some(std::net::IpAddr::V4(ip)) => Some(u32::from(*ip) >> 2),
            _ => None,
        })
        .collect();
    let base = u32::from(Ipv4Addr::new(169, 254, 200, 0));
    let pair = (0..256).map(|n| base + 4 * n).find(|start| !taken.contains(&(start >> 2)));
    let start = pair
        .ok_or_else(|| std::io::Error::other("169.254.200.0/22 is full"))
        .doing("find a /30 for the uplink")?;
    Ok((Ipv4Addr::from(start + 1), Ipv4Addr::from(start + 2)))
}

async fn link_host(
    cluster: &Cluster,
    host: &Connection<Route>,
    link: &str,
    pair: (Ipv4Addr, Ipv4Addr),
) -> Result<(), WireError> {
    let path = cluster.paths().netns("wire");
    let namespace = File::open(&path).doing("open the wire's namespace")?;
    host.add_link(VethLink::new(link, UPLINK).peer_netns_fd(&namespace)).await.doing("make the uplink")?;
    host.add_address(Ipv4Address::new(link, pair.0, 30))
        .await
        .doing("give the host its end of the uplink")?;
    host.set_link_up(link).await.doing("raise the host's end of the uplink")?;
    let wire = in_namespace(&path)?;
    wire.add_address(Ipv4Address::new(UPLINK, pair.1, 30))
        .await
        .doing("give the wire its end of the uplink")?;
    wire.set_link_up(UPLINK).await.doing("raise the uplink")?;
    wire.add_route(Ipv4Route::default_route().gateway(pair.0).dev(UPLINK))
        .await
        .doing("route to the host")?;
    let tables = Connection::<Nftables>::new_in(path.as_path()).doing("open the wire's nftables")?;
    masquerade(&tables, "sealane-egress", Ipv4Addr::UNSPECIFIED, UPLINK, true).await
}

/// Behind `link` if `outward`, else whatever comes from `source` and leaves by another link.
async fn masquerade(
    tables: &Connection<Nftables>,
    table: &str,
    source: Ipv4Addr,
    link: &str,
    outward: bool,
) -> Result<(), WireError> {
    let config = NftablesConfig::new().table(table, Family::Ip, |t| {
        t.chain("postrouting", |c| c.base(BaseChain::nat(NatHook::Postrouting, Priority::SrcNat))).rule(
            "postrouting",
            |rule| {
                if outward {
                    rule.match_oif(link).masquerade()
                } else {
                    rule.match_saddr_v4(source, 32).match_oif_not(link).masquerade()
                }
            },
        )
    });
    let change = config.diff(tables).await.doing(format!("compare the table {table}"))?;
    change.apply(tables).await.doing(format!("write the table {table}")).map(drop)
}

fn forward_on_host() -> std::io::Result<()> {
    if std::fs::read_to_string(IP_FORWARD)?.trim() == "0" {
        std::fs::write(was_off(), "")?;
        std::fs::write(IP_FORWARD, "1")?;
    }
    Ok(())
}

/// Tables of others whose forward chain drops by default, as Docker's does.
async fn dropping_tables(own: &str) -> Result<Vec<String>, WireError> {
    let tables = Connection::<Nftables>::new().doing("open the host's nftables")?;
    let chains = tables.list_chains().await.doing("list the host's chains")?;
    let drops = chains.into_iter().filter(|c| {
        c.table != own && c.hook == Some(Hook::Forward.number(c.family)) && c.policy == Some(NF_DROP)
    });
    Ok(drops.map(|c| format!("{} {}", c.table, c.name)).collect())
}

/// True if the host's `ip_forward` can be set at all; in some containers /proc is read-only.
pub(crate) fn host_can_forward() -> bool {
    let forwards = std::fs::read_to_string(IP_FORWARD).is_ok_and(|v| v.trim() == "1");
    forwards || File::options().write(true).open(Path::new(IP_FORWARD)).is_ok()
}
