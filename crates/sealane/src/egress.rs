//! `--egress nat`: the way of Pods to the outside. The wire masquerades behind one address of a /30 that it shares with the
//! host; the host masquerades that address behind its own.
//!
//! The host gains one link, one route, one table `sealane-NAME` and, if it was 0, `ip_forward=1`; `down` takes them away.

use crate::cluster::{Cluster, Egress, Paths};
use crate::wire::{Doing, WireError, in_namespace};
use sealane_netlink::{Netlink, Route, Veth, namespace};
use sealane_nft::{Base, BaseChain, Expr, Family, Hook, Kind, MetaKey, Reg, Table};
use sealane_proxy::apply::{Backend, Kernel, forward_chains_that_drop};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

const UPLINK: &str = "uplink";
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes what is missing. Returns what may keep packets from passing, for `up` to say.
pub(crate) fn ensure(cluster: &Cluster) -> Result<Vec<String>, WireError> {
    if cluster.egress == Egress::None {
        return Ok(Vec::new());
    }
    let mut host = Netlink::here().doing("open the host's links")?;
    let link = host_link(&cluster.name);
    if host.link(&link).doing("look up the host's link")?.is_none() {
        let pair = free_pair(&mut host)?;
        link_host(cluster, &mut host, &link, pair)?;
        let index = host.index(&link).doing("look up the host's link")?;
        masquerade(&masquerade_from(&table(&cluster.name), pair.1, index)).doing("write the host's table")?;
    }
    forward_on_host().doing("let the host forward")?;
    // Tables of others whose forward chain drops by default, as Docker's does; ours drop nothing.
    let drops = forward_chains_that_drop().doing("list the host's chains")?;
    Ok(drops.into_iter().map(|(table, chain)| format!("{table} {chain}")).collect())
}

/// Takes the host's link, table and, with the last such cluster, its `ip_forward` away.
pub(crate) fn remove(cluster: &Cluster) -> Result<(), WireError> {
    if cluster.egress == Egress::None {
        return Ok(());
    }
    let mut host = Netlink::here().doing("open the host's links")?;
    host.remove_link(&host_link(&cluster.name)).doing("remove the host's link")?;
    let removed = Kernel::open_table(&table(&cluster.name)).and_then(|mut kernel| kernel.remove_all(None));
    removed.map_err(std::io::Error::other).doing("remove the host's table")?;
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
fn free_pair(host: &mut Netlink) -> Result<(Ipv4Addr, Ipv4Addr), WireError> {
    let taken = host.addresses().doing("list the host's addresses")?;
    let taken: Vec<u32> = taken
        .iter()
        .filter_map(|address| match address {
            std::net::IpAddr::V4(ip) => Some(u32::from(*ip) >> 2),
            std::net::IpAddr::V6(_) => None,
        })
        .collect();
    let base = u32::from(Ipv4Addr::new(169, 254, 200, 0));
    let pair = (0..256).map(|n| base + 4 * n).find(|start| !taken.contains(&(start >> 2)));
    let start = pair
        .ok_or_else(|| std::io::Error::other("169.254.200.0/22 is full"))
        .doing("find a /30 for the uplink")?;
    Ok((Ipv4Addr::from(start + 1), Ipv4Addr::from(start + 2)))
}

fn link_host(
    cluster: &Cluster,
    host: &mut Netlink,
    link: &str,
    pair: (Ipv4Addr, Ipv4Addr),
) -> Result<(), WireError> {
    let path = cluster.paths().netns("wire");
    let wire = File::open(&path).doing("open the wire's namespace")?;
    host.add_veth(&Veth::new(link, UPLINK).into_namespace(wire.as_fd())).doing("make the uplink")?;
    host.add_address(link, pair.0.into(), 30).doing("give the host its end of the uplink")?;
    host.set_up(link, true).doing("raise the host's end of the uplink")?;
    let mut wire = in_namespace(&path)?;
    wire.add_address(UPLINK, pair.1.into(), 30).doing("give the wire its end of the uplink")?;
    wire.set_up(UPLINK, true).doing("raise the uplink")?;
    wire.set_route(&Route::default_v4().via(pair.0)).doing("route to the host")?;
    let index = wire.index(UPLINK).doing("look up the uplink")?;
    let wanted = masquerade_behind("sealane-egress", index);
    namespace::run(&path, || masquerade(&wanted)).and_then(|done| done).doing("write the wire's table")
}

/// Writes a table into the calling thread's namespace, in place of one of that name.
fn masquerade(wanted: &Table) -> std::io::Result<()> {
    let write = || {
        let mut kernel = Kernel::open_table(&wanted.name)?;
        let present = kernel.read()?;
        kernel.write(&sealane_nft::diff(present.as_ref(), wanted))
    };
    write().map_err(std::io::Error::other)
}

/// Whatever leaves by that link is masqueraded.
fn masquerade_behind(table: &str, link: u32) -> Table {
    nat_table(
        table,
        vec![Expr::Meta { key: MetaKey::Oif, dreg: Reg(0) }, link_is(link, true), Expr::Masquerade],
    )
}

/// Whatever comes from `source` and leaves by another link than that one is masqueraded.
fn masquerade_from(table: &str, source: Ipv4Addr, link: u32) -> Table {
    let source_is = Expr::Cmp { sreg: Reg(0), equal: true, data: source.octets().to_vec() };
    let rule = vec![
        Expr::Payload { base: Base::Network, offset: 12, len: 4, dreg: Reg(0) },
        source_is,
        Expr::Meta { key: MetaKey::Oif, dreg: Reg(0) },
        link_is(link, false),
        Expr::Masquerade,
    ];
    nat_table(table, rule)
}

fn link_is(link: u32, equal: bool) -> Expr {
    Expr::Cmp { sreg: Reg(0), equal, data: link.to_ne_bytes().to_vec() }
}

fn nat_table(name: &str, rule: Vec<Expr>) -> Table {
    let mut table = Table::new(Family::Ip, name);
    let base = BaseChain { kind: Kind::Nat, hook: Hook::Postrouting, priority: 100 };
    table.chain("postrouting", Some(base), vec![rule]);
    table
}

fn forward_on_host() -> std::io::Result<()> {
    if std::fs::read_to_string(IP_FORWARD)?.trim() == "0" {
        std::fs::write(was_off(), "")?;
        std::fs::write(IP_FORWARD, "1")?;
    }
    Ok(())
}

/// True if the host's `ip_forward` can be set at all; in some containers /proc is read-only.
pub(crate) fn host_can_forward() -> bool {
    let forwards = std::fs::read_to_string(IP_FORWARD).is_ok_and(|v| v.trim() == "1");
    forwards || File::options().write(true).open(Path::new(IP_FORWARD)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread with a network of its own, which ends with it.
    fn in_own_network(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            #[allow(unsafe_code, reason = "the table of descriptors is not unshared")]
            // SAFETY: as said.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn nft(arguments: &[&str]) -> String {
        let output = std::process::Command::new("nft").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn the_tables_masquerade_as_nft_reads_them() {
        in_own_network(|| {
            for wanted in [masquerade_behind("b", 1), masquerade_from("f", [169, 254, 200, 2].into(), 1)] {
                masquerade(&wanted).unwrap();
                masquerade(&wanted).unwrap();
                let read = Kernel::open_table(&wanted.name).unwrap().read().unwrap();
                assert_eq!(read.as_ref(), Some(&wanted));
            }
            assert!(nft(&["list", "table", "ip", "b"]).contains("oif \"lo\" masquerade"));
            let from = nft(&["list", "table", "ip", "f"]);
            assert!(from.contains("ip saddr 169.254.200.2 oif != \"lo\" masquerade"), "{from}");
        });
    }

    #[test]
    fn a_forward_chain_that_drops_is_named() {
        in_own_network(|| {
            masquerade(&masquerade_behind("b", 1)).unwrap();
            assert_eq!(forward_chains_that_drop().unwrap(), []);
            nft(&[
                "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
            ]);
            assert_eq!(forward_chains_that_drop().unwrap(), [("filter".to_owned(), "FORWARD".to_owned())]);
        });
    }
}
