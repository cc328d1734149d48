//! What must hold before `up` touches anything: each failure is one sentence with what to do.

use crate::cluster::{Cluster, Egress};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Why a cluster can't be made here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    #[error("this needs root (network namespaces, mounts, nftables): run `sudo sealane {0}`")]
    NotRoot(&'static str),
    #[error("this machine runs Linux {found}; sealane needs 6.1 or newer")]
    Kernel { found: String },
    #[error("the kernel lacks {feature}: {mend}")]
    Feature { feature: &'static str, mend: &'static str },
    #[error("{address} is taken{holder}; choose another port with --api-port, for example --api-port {free}")]
    PortTaken { address: SocketAddr, holder: String, free: u16 },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the ranges {a_name} {a} and {b_name} {b} overlap; choose others")]
    Overlap { a_name: &'static str, a: String, b_name: &'static str, b: String },
    #[error("{what} {range} is too small: {need}")]
    TooSmall { what: &'static str, range: String, need: String },
    #[error("{path} holds files that are not sealane's; name an empty or new directory with --data-dir", path = .0.display())]
    ForeignData(PathBuf),
}

/// Fails unless the caller is root.
pub(crate) fn root(command: &'static str) -> Result<(), PreflightError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(PreflightError::NotRoot(command)) }
}

/// Checks the kernel, the ranges and the API's port.
pub(crate) fn check(cluster: &Cluster) -> Result<(), PreflightError> {
    kernel(&rustix::system::uname().release().to_string_lossy())?;
    features()?;
    ranges(cluster)?;
    if cluster.egress == Egress::Nat && !crate::egress::host_can_forward() {
        let mend = "mount /proc/sys writable, or use --egress none (Pods then do not reach the outside)";
        return Err(PreflightError::Feature {
            feature: "a writable ip_forward, which --egress nat needs",
            mend,
        });
    }
    port(cluster.addresses().host_api)
}

fn kernel(release: &str) -> Result<(), PreflightError> {
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 1) { Ok(()) } else { Err(PreflightError::Kernel { found: release.to_owned() }) }
}

fn features() -> Result<(), PreflightError> {
    let missing = |feature, mend| Err(PreflightError::Feature { feature, mend });
    if !Path::new("/proc/self/ns/net").exists() {
        return missing("network namespaces", "boot one with CONFIG_NET_NS");
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.lines().any(|l| l.trim_end().ends_with("overlay")) && !loads_module("overlay") {
        return missing("overlayfs, which container images need", "load it with `modprobe overlay`");
    }
    if !netlink_netfilter() && !loads_module("nf_tables") {
        return missing("nftables, which carries the Services", "load it with `modprobe nf_tables`");
    }
    if !Path::new("/sys/fs/cgroup").is_dir() {
        return missing("cgroups", "mount them with `mount -t cgroup2 none /sys/fs/cgroup`");
    }
    Ok(())
}

fn netlink_netfilter() -> bool {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))
        .is_ok()
}

fn loads_module(name: &str) -> bool {
    std::process::Command::new("modprobe").arg(name).output().is_ok_and(|o| o.status.success())
}

/// Checks that the ranges are apart and hold all nodes.
pub(crate) fn ranges(cluster: &Cluster) -> Result<(), PreflightError> {
    let named = [
        ("--service-cidr", cluster.service_cidr),
        ("--pod-cidr", cluster.pod_cidr),
        ("--node-cidr", cluster.node_cidr),
    ];
    for (i, (a_name, a)) in named.iter().enumerate() {
        for (b_name, b) in &named[i + 1..] {
            if a.overlaps(*b) {
                return Err(PreflightError::Overlap { a_name, a: a.to_string(), b_name, b: b.to_string() });
            }
        }
    }
    let too_small = |what, range: crate::cidr::Cidr, need: &str| {
        Err(PreflightError::TooSmall { what, range: range.to_string(), need: need.to_owned() })
    };
    if cluster.service_cidr.prefix > 28 {
        return too_small(
            "--service-cidr",
            cluster.service_cidr,
            "kube-dns has the tenth address, so it is at least a /28",
        );
    }
    if cluster.node_cidr.nth(cluster.nodes + 2).is_none() {
        return too_small("--node-cidr", cluster.node_cidr, "every node needs an address");
    }
    if cluster.pod_cidr.prefix > 24 || cluster.nodes > 1 << (24 - cluster.pod_cidr.prefix) {
        return too_small("--pod-cidr", cluster.pod_cidr, "every node needs a /24");
    }
    Ok(())
}

fn port(address: SocketAddr) -> Result<(), PreflightError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            let free = (address.port().saturating_add(1)..u16::MAX)
                .find(|p| TcpListener::bind((address.ip(), *p)).is_ok())
                .unwrap_or(16443);
            let holder = port_holder(address.port()).map(|h| format!(" by {h}")).unwrap_or_default();
            Err(PreflightError::PortTaken { address, holder, free })
        }
        Err(source) => Err(PreflightError::Listen { address, source }),
    }
}

/// The process that listens on a TCP port of this machine, as `name (pid N)`.
pub(crate) fn port_holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        std::fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            (local == port && fields.get(3) == Some(&"0A")).then(|| (*fields.get(9)?).to_owned().into())?
        })
    })?;
    let inode: String = inode;
    let wanted = format!("socket:[{inode}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut fds = std::fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        fds.find(|fd| std::fs::read_link(fd.path()).is_ok_and(|l| l.as_os_str() == wanted.as_str()))?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(format!("{} (pid {pid})", name.trim()))
    })
}

/// Fails if a data directory without a cluster in it holds anything.
pub(crate) fn data_directory(path: &Path) -> Result<(), PreflightError> {
    let occupied = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if occupied { Err(PreflightError::ForeignData(path.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_refused_by_version() {
        assert!(kernel("6.18.44-fc").is_ok());
        assert!(kernel("6.1.0-13-amd64").is_ok());
        assert!(kernel("5.15.0").unwrap_err().to_string().contains("needs 6.1"));
        assert!(kernel("nonsense").is_err());
    }

    #[test]
    fn a_taken_port_names_its_holder_and_a_free_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let text = port(address).unwrap_err().to_string();
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        assert!(text.contains("--api-port"), "{text}");
    }
}
