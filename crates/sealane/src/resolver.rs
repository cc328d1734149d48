//! The host's name servers: whom cluster DNS asks for names outside the cluster, and what a Pod with `dnsPolicy: Default` gets.
//!
//! Cluster DNS asks from the host's network namespace, so a resolver on 127.0.0.1 or 127.0.0.53 serves it as it serves the
//! host, split horizons of VPNs included. A Pod has no way there: it gets the file with systemd-resolved's own upstreams.

use crate::cluster::Egress;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The upstreams of systemd-resolved, where that is the resolver that `/etc/resolv.conf` names.
const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";
/// The C library asks no more than these (`MAXNS`).
const MOST: usize = 3;
const PORT: u16 = 53;

/// Whom cluster DNS asks; nobody if Pods do not reach the outside.
pub(crate) fn upstreams(egress: Egress) -> Vec<SocketAddr> {
    match egress {
        Egress::None => Vec::new(),
        Egress::Nat => servers(&read(RESOLV_CONF)).into_iter().map(|ip| (ip, PORT).into()).collect(),
    }
}

/// What `up` should say, if names outside the cluster will not be resolved though Pods reach the outside.
pub(crate) fn warning(egress: Egress) -> Option<String> {
    (egress == Egress::Nat && upstreams(egress).is_empty())
        .then(|| format!("Pods cannot resolve names outside the cluster: {RESOLV_CONF} names no name server"))
}

/// The file whose name servers Pods with `dnsPolicy: Default` are given.
pub(crate) fn file_for_pods() -> PathBuf {
    let local_only = servers(&read(RESOLV_CONF)).iter().all(IpAddr::is_loopback);
    let path = if local_only && Path::new(RESOLVED_CONF).exists() { RESOLVED_CONF } else { RESOLV_CONF };
    path.into()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The `nameserver` lines that are addresses (resolv.conf(5)).
fn servers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(|line| line.split_whitespace());
    let servers = words.filter_map(|mut words| {
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    servers.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 192.0.2.9\nsearch corp.example\n nameserver 192.0.2.1\nnameserver fd00::1 # first\n\
                    nameserver\nnameserver ns.example\nnameserver\t127.0.0.53\nnameserver 192.0.2.4\n";
        let found: Vec<_> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "fd00::1", "127.0.0.53"]);
        assert!(servers("").is_empty());
    }

    #[test]
    fn without_a_way_out_nobody_is_asked_and_nothing_is_missing() {
        assert!(upstreams(Egress::None).is_empty());
        assert_eq!(warning(Egress::None), None);
    }
}
