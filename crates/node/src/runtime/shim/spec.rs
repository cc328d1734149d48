//! A container's OCI runtime specification, as libcontainer reads it from `config.json`: a pure function.

use std::path::Path;

use serde_json::{Value, json};

use super::super::types::{ContainerConfig, Resources, SecurityContext};
use super::user::User;

/// Docker's default set without `MKNOD`.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];
/// In the order of their numbers.
const ALL_CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The period over which a CPU limit is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// What a specification is made of.
pub(super) struct Container<'a> {
    pub(super) config: &'a ContainerConfig,
    pub(super) user: &'a User,
    pub(super) hostname: &'a str,
    pub(super) rootfs: &'a Path,
    /// The container's own cgroup.
    pub(super) cgroup: &'a str,
    /// What the creating process itself may do, a bit a capability: no more can be given.
    pub(super) permitted: u64,
}

/// The specification of a container.
pub(super) fn specification(c: &Container<'_>) -> Value {
    let security = &c.config.security;
    let caps = capabilities(security, c.permitted);
    let (masked, readonly) =
        if security.privileged { (&[][..], &[][..]) } else { (&MASKED[..], &READONLY[..]) };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": c.config.tty,
            "user": {"uid": c.user.uid, "gid": c.user.gid, "additionalGids": c.user.groups},
            "args": command(c.config),
            "env": environment(c),
            "cwd": working_dir(c.config),
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": security.no_new_privileges,
        },
        "root": {"path": c.rootfs, "readonly": security.read_only_root_filesystem},
        "mounts": mounts(c.config),
        "linux": {
            "cgroupsPath": format!("/{}", c.cgroup.trim_start_matches('/')),
            // Network, IPC and UTS namespaces are the shim's, which are the Pod's.
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "cgroup"}],
            "resources": resources(&c.config.resources, security.privileged),
            "maskedPaths": masked,
            "readonlyPaths": readonly,
        },
    })
}

/// Kubernetes' rule: `command` replaces entrypoint and cmd, `args` replaces cmd.
pub(super) fn command(config: &ContainerConfig) -> Vec<String> {
    let image = &config.image;
    let (mut program, rest) = match (config.command.is_empty(), config.args.is_empty()) {
        (true, true) => (image.entrypoint.clone(), &image.cmd),
        (true, false) => (image.entrypoint.clone(), &config.args),
        (false, _) => (config.command.clone(), &config.args),
    };
    program.extend(rest.iter().cloned());
    program
}

/// Where the command starts.
pub(super) fn working_dir(config: &ContainerConfig) -> String {
    let dir = config.working_dir.as_deref().filter(|d| !d.is_empty()).unwrap_or(&config.image.working_dir);
    if dir.starts_with('/') { dir.to_owned() } else { format!("/{dir}") }
}

fn environment(c: &Container<'_>) -> Vec<String> {
    let mut env: Vec<(String, String)> = Vec::new();
    let base =
        [("HOSTNAME", c.hostname), ("HOME", c.user.home.as_str())].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let terminal = c.config.tty.then(|| ("TERM".to_owned(), "xterm".to_owned()));
    let all = base.into_iter().chain(terminal).chain(c.config.image.env.clone()).chain(c.config.env.clone());
    for (key, value) in all.filter(|(k, v)| k != "HOSTNAME" || !v.is_empty()) {
        match env.iter_mut().find(|(k, _)| *k == key) {
            Some(old) => old.1 = value,
            None => env.push((key, value)),
        }
    }
    let has_path = env.iter().any(|(k, _)| k == "PATH");
    let default = (!has_path).then(|| DEFAULT_PATH.to_owned());
    default.into_iter().chain(env.into_iter().map(|(k, v)| format!("{k}={v}"))).collect()
}

/// Full names (`CAP_…`) of what the container may have.
fn capabilities(security: &SecurityContext, permitted: u64) -> Vec<String> {
    let plain = |name: &String| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
    let add: Vec<String> = security.capabilities_add.iter().map(plain).collect();
    let remove: Vec<String> = security.capabilities_drop.iter().map(plain).collect();
    let has = |list: &[String], name: &str| list.iter().any(|n| n == name);
    let kept = |name: &str| {
        // An explicit `add` wins over `drop: [ALL]`, an explicit `drop` over `add: [ALL]`.
        let wanted = DEFAULT_CAPABILITIES.contains(&name) && !has(&remove, "ALL");
        has(&add, name) || ((wanted || has(&add, "ALL")) && !has(&remove, name))
    };
    let given =
        |(bit, name): &(usize, &&str)| (security.privileged || kept(name)) && permitted >> bit & 1 == 1;
    ALL_CAPABILITIES.iter().enumerate().filter(given).map(|(_, n)| format!("CAP_{n}")).collect()
}

fn mounts(config: &ContainerConfig) -> Vec<Value> {
    let own = |at: &str, fs: &str, options: &[&str]| json!({"destination": at, "type": fs, "source": fs, "options": options});
    let write = if config.security.privileged { "rw" } else { "ro" };
    let mut all = vec![
        own("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        own("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        own(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        own("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        own("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        own("/sys", "sysfs", &["nosuid", "noexec", "nodev", write]),
        own("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", write]),
    ];
    // Parents before children, whatever the order in the Pod's spec.
    let mut given: Vec<_> = config.mounts.iter().collect();
    given.sort_by_key(|m| m.container_path.components().count());
    all.extend(given.into_iter().map(|m| {
        let write = if m.readonly { "ro" } else { "rw" };
        json!({"destination": m.container_path, "type": "bind", "source": m.host_path, "options": ["rbind", "rprivate", write]})
    }));
    all
}

fn resources(r: &Resources, privileged: bool) -> Value {
    let shares = r.cpu_request_millicores.or(r.cpu_limit_millicores).map_or(2, |m| (m * 1024 / 1000).max(2));
    let mut cpu = json!({"shares": shares});
    if let Some(limit) = r.cpu_limit_millicores.filter(|l| *l > 0) {
        cpu["quota"] = json!((limit * CPU_PERIOD / 1000).max(1000));
        cpu["period"] = json!(CPU_PERIOD);
    }
    let mut all = json!({"cpu": cpu, "devices": [{"allow": privileged, "access": "rwm"}]});
    if let Some(limit) = r.memory_limit_bytes.filter(|l| *l > 0) {
        all["memory"] = json!({"limit": limit});
    }
    if let Some(limit) = r.pids_limit.filter(|l| *l > 0) {
        all["pids"] = json!({"limit": limit});
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::super::images::Image;
    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn command_and_args_replace_entrypoint_and_cmd() {
        let image = Image { entrypoint: list(&["e"]), cmd: list(&["c"]), ..Default::default() };
        for (command_, args, expected) in [
            (&[][..], &[][..], &["e", "c"][..]),
            (&[], &["a"], &["e", "a"]),
            (&["x"], &[], &["x"]),
            (&["x"], &["a"], &["x", "a"]),
        ] {
            let config = ContainerConfig {
                image: image.clone(),
                command: list(command_),
                args: list(args),
                ..Default::default()
            };
            assert_eq!(command(&config), list(expected));
        }
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        let of = |add: &[&str], remove: &[&str]| {
            let security = SecurityContext {
                capabilities_add: list(add),
                capabilities_drop: list(remove),
                ..Default::default()
            };
            capabilities(&security, !(1 << 24)) // without SYS_RESOURCE
        };
        assert_eq!(of(&[], &[]).len(), 13);
        assert!(!of(&[], &[]).contains(&"CAP_MKNOD".to_owned()));
        assert_eq!(of(&["NET_BIND_SERVICE"], &["ALL"]), ["CAP_NET_BIND_SERVICE"]);
        assert_eq!(of(&["cap_net_admin"], &[]).len(), 14);
        assert_eq!(of(&[], &["CHOWN"]).len(), 12);
        assert_eq!(of(&["ALL"], &["SYS_ADMIN"]).len(), 39);
    }

    #[test]
    fn environment_and_resources() {
        let config = ContainerConfig {
            image: Image {
                env: vec![("A".into(), "1".into()), ("B".into(), "1".into())],
                ..Default::default()
            },
            env: vec![("B".into(), "2".into())],
            ..Default::default()
        };
        let user = User { uid: 0, gid: 0, groups: vec![], home: "/root".into() };
        let c = Container {
            config: &config,
            user: &user,
            hostname: "web-0",
            rootfs: Path::new("/r"),
            cgroup: "a/b",
            permitted: u64::MAX,
        };
        assert_eq!(environment(&c), list(&[DEFAULT_PATH, "HOSTNAME=web-0", "HOME=/root", "A=1", "B=2"]));
        assert_eq!(specification(&c)["linux"]["cgroupsPath"], "/a/b");
        let limits =
            Resources { cpu_limit_millicores: Some(250), memory_limit_bytes: Some(7), ..Default::default() };
        let found = resources(&limits, false);
        assert_eq!((&found["cpu"]["quota"], &found["cpu"]["shares"]), (&json!(25_000), &json!(256)));
        assert_eq!(found["memory"]["limit"], 7);
        assert!(found.get("pids").is_none());
    }
}
