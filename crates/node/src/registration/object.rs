//! What a node says of itself. Pure but for [`Facts::gather`].

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::agent::Allocatable;
use crate::config::Config;

/// What is known of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) cpus: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) storage_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    pub(crate) architecture: String,
    pub(crate) machine_id: String,
    pub(crate) boot_id: String,
    pub(crate) system_uuid: String,
}

impl Facts {
    /// Asks the machine.
    pub(crate) fn gather(config: &Config) -> Self {
        let read =
            |path: &str| std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
        let uname = rustix::system::uname();
        let stat = rustix::fs::statvfs(&config.data_dir).ok();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cpus: u64::try_from(cpus).unwrap_or(1),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            storage_bytes: stat.map_or(0, |s| s.f_blocks * s.f_frsize),
            kernel: uname.release().to_string_lossy().into_owned(),
            os_image: os_image(&read("/etc/os-release")),
            architecture: go_architecture(std::env::consts::ARCH).to_owned(),
            machine_id: read("/etc/machine-id"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            system_uuid: read("/sys/class/dmi/id/product_uuid"),
        }
    }

    /// What Pods may ask for.
    pub(crate) fn allocatable(&self) -> Allocatable {
        Allocatable {
            cpu_millicores: self.cpus * 1000,
            memory_bytes: self.memory_bytes,
            ephemeral_storage_bytes: self.storage_bytes,
        }
    }
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn os_image(os_release: &str) -> String {
    let name = os_release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    name.map_or("Linux", |n| n.trim_matches('"')).to_owned()
}

fn go_architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `status.capacity` and `status.allocatable`.
fn capacity(facts: &Facts) -> Value {
    json!({
        "cpu": facts.cpus.to_string(),
        "memory": format!("{}Ki", facts.memory_bytes / 1024),
        "ephemeral-storage": format!("{}Ki", facts.storage_bytes / 1024),
        "pods": "110",
    })
}

/// The labels that every node has.
pub(super) fn labels(config: &Config, facts: &Facts) -> Value {
    json!({
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture, "beta.kubernetes.io/arch": facts.architecture,
    })
}

/// `status` without conditions.
pub(super) fn status(config: &Config, facts: &Facts) -> Value {
    let internal =
        config.node_ips.iter().map(|ip: &IpAddr| json!({"type": "InternalIP", "address": ip.to_string()}));
    let mut addresses: Vec<Value> = internal.collect();
    addresses.push(json!({"type": "Hostname", "address": config.node_name}));
    json!({
        "addresses": addresses, "capacity": capacity(facts), "allocatable": capacity(facts),
        "nodeInfo": {
            "machineID": facts.machine_id, "systemUUID": facts.system_uuid, "bootID": facts.boot_id,
            "kernelVersion": facts.kernel, "osImage": facts.os_image,
            "containerRuntimeVersion": format!("sealane://{}", config.version),
            "kubeletVersion": format!("{}+sealane{}", config.kubernetes_version, config.version),
            "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": facts.architecture,
        },
    })
}

/// The conditions at `now`; `since` tells a condition's last transition. The node is ready when its network is.
pub(super) fn conditions(
    network_ready: bool,
    now: Timestamp,
    since: impl Fn(&str, &str) -> Option<String>,
) -> Value {
    let text = |t: Timestamp| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let one = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": text(now),
            "lastTransitionTime": since(kind, status).unwrap_or_else(|| text(now)),
        })
    };
    let ready = if network_ready {
        one("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    } else {
        let message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                       message:the node has no Pod range yet";
        one("Ready", "False", "KubeletNotReady", message)
    };
    json!([
        one(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available"
        ),
        one("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        one("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ready,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::at;

    #[test]
    fn machine_facts() {
        assert_eq!(memory_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), 16 << 20);
        assert_eq!(
            os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(
            (os_image(""), go_architecture("aarch64"), go_architecture("riscv64")),
            ("Linux".into(), "arm64", "riscv64")
        );
    }

    #[test]
    fn transition_times_are_kept() {
        let old = |kind: &str, status: &str| (kind == "Ready" && status == "True").then(|| "then".to_owned());
        let got = conditions(true, at(0), old);
        assert_eq!(got[3]["lastTransitionTime"], "then");
        assert_eq!(got[0]["lastTransitionTime"], "1970-01-12T13:46:40Z");
        let got = conditions(false, at(0), old);
        assert_eq!(
            (got[3]["status"].as_str(), got[3]["reason"].as_str()),
            (Some("False"), Some("KubeletNotReady"))
        );
    }
}
