//! What callers of the runtime say and are told: plain data, serialised as JSON between agent and shim and into the
//! records in a Pod's directory (unknown fields are ignored, new fields have defaults, so that versions can meet).

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::images::Image;

/// A Pod's sandbox: what its containers share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SandboxConfig {
    /// The Pod's uid; names the sandbox.
    pub uid: String,
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod's name.
    pub name: String,
    /// The host name in the Pod's own UTS namespace; empty: the host's UTS namespace is shared (hostNetwork).
    pub hostname: String,
    /// The Pod's network namespace, a bind-mounted file; `None` stays in the caller's.
    pub netns: Option<PathBuf>,
    /// The Pod's own directory (absolute; on a filesystem that can hold an overlay's upper layer). The runtime uses
    /// `sandbox.json`, `shim.sock`, `shim.log` and `containers/` in it.
    pub dir: PathBuf,
    /// The Pod's cgroup below each hierarchy's root, `sealane/NAME/NODE/podUID`.
    pub cgroup_parent: String,
    /// Kernel parameters set in the Pod's namespaces (`net.*`, `kernel.shm*`, …).
    pub sysctls: BTreeMap<String, String>,
}

/// Names one attempt of one container of one Pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerId {
    /// The Pod's uid.
    pub pod_uid: String,
    /// The container's name in the Pod's spec.
    pub name: String,
    /// How often the container was started before: 0, 1, ….
    pub attempt: u32,
}

/// A container to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerConfig {
    /// The container's name in the Pod's spec.
    pub name: String,
    /// Start number; with the name it is unique in the Pod.
    pub attempt: u32,
    /// From [`super::images::ImageStore::resolve`].
    pub image: Image,
    /// Replaces the image's entrypoint (and drops its cmd) unless empty; `$(VAR)` already expanded.
    pub command: Vec<String>,
    /// Replaces the image's cmd unless empty.
    pub args: Vec<String>,
    /// Added to, and overriding, the image's environment.
    pub env: Vec<(String, String)>,
    /// Replaces the image's working directory; made if it is missing.
    pub working_dir: Option<String>,
    /// Bind mounts, `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname` and the termination log among them.
    pub mounts: Vec<Mount>,
    /// Limits.
    pub resources: Resources,
    /// Who the container is and what it may do.
    pub security: SecurityContext,
    /// A terminal for the first process; its output counts as stdout.
    pub tty: bool,
    /// Keeps standard input open for [`super::Runtime::attach`]; else it is `/dev/null`.
    pub stdin: bool,
    /// Ends standard input when the first attached client leaves.
    pub stdin_once: bool,
    /// The log in CRI's format; its directory is made. Rotated to `PATH.1` … `PATH.4` at 10 MiB.
    pub log_path: PathBuf,
    /// Kept if the machine allows it, else the inherited value stays.
    pub oom_score_adj: Option<i32>,
}

/// A file or directory of the host made visible in the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount {
    /// The host's path; must exist.
    pub host_path: PathBuf,
    /// Absolute path in the container; made if missing.
    pub container_path: PathBuf,
    /// Not writable from the container.
    pub readonly: bool,
}

/// Limits of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// Thousandths of a CPU it is entitled to.
    pub cpu_request_millicores: Option<u64>,
    /// Thousandths of a CPU it may use.
    pub cpu_limit_millicores: Option<u64>,
    /// Memory it may use, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads it may have.
    pub pids_limit: Option<u64>,
}

/// The container's security context, Pod's and container's already merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext {
    /// Numeric user; `None`: the image's.
    pub run_as_user: Option<u32>,
    /// Numeric group; `None`: the image's.
    pub run_as_group: Option<u32>,
    /// Refuses to start as user 0.
    pub run_as_non_root: bool,
    /// Further groups (`supplementalGroups`, `fsGroup`).
    pub supplemental_groups: Vec<u32>,
    /// `capabilities.add`, with or without `CAP_`; `ALL` is every one.
    pub capabilities_add: Vec<String>,
    /// `capabilities.drop`.
    pub capabilities_drop: Vec<String>,
    /// Everything allowed.
    pub privileged: bool,
    /// `readOnlyRootFilesystem`.
    pub read_only_root_filesystem: bool,
    /// The opposite of `allowPrivilegeEscalation`.
    pub no_new_privileges: bool,
    /// Which system calls it may make.
    pub seccomp: SeccompProfile,
}

/// `seccompProfile.type`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompProfile {
    /// The runtime's own profile.
    #[default]
    RuntimeDefault,
    /// All of them.
    Unconfined,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Being created.
    Created,
    /// Its command was executed and has not ended.
    Running,
    /// Its command ended, or never started (see the reason).
    Exited,
}

/// What is known of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Which container.
    pub id: ContainerId,
    /// 64 hexadecimal digits; `containerID` is `sealane://` and this.
    pub container_id: String,
    /// Where in its life.
    pub state: ContainerState,
    /// The image as the Pod named it, resolved name first.
    pub image: String,
    /// The image's id, `sha256:…`.
    pub image_id: String,
    /// The first process, as the host sees it; 0 when there is none.
    #[serde(default)]
    pub pid: i32,
    /// When its command was executed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its exit code; 128 + signal when a signal ended it.
    #[serde(default)]
    pub exit_code: i32,
    /// The signal that ended it, or 0.
    #[serde(default)]
    pub signal: i32,
    /// Empty, or `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, `CreateContainerConfigError`,
    /// `ContainerStatusUnknown`.
    #[serde(default)]
    pub reason: String,
    /// Text for people.
    #[serde(default)]
    pub message: String,
    /// The container's log.
    pub log_path: PathBuf,
}

/// One Pod as the runtime sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxStatus {
    /// What it was made from.
    pub config: SandboxConfig,
    /// Whether its shim runs. If not, none of its containers does.
    pub running: bool,
    /// Its containers, by name, then attempt.
    pub containers: Vec<ContainerStatus>,
}

/// A command to run in a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExecConfig {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Added to the container's environment.
    pub env: Vec<(String, String)>,
    /// A terminal of the container for the process.
    pub tty: bool,
    /// Its size at the start.
    pub size: Option<TerminalSize>,
    /// Whether the caller writes to it.
    pub stdin: bool,
    /// Whether the caller reads its output.
    pub stdout: bool,
    /// Whether the caller reads its errors; ignored with `tty`.
    pub stderr: bool,
}

/// Which streams of a running container to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AttachConfig {
    /// Write to it; nothing happens if the container keeps no standard input.
    pub stdin: bool,
    /// Read its output from now on.
    pub stdout: bool,
    /// Read its errors from now on.
    pub stderr: bool,
}

/// Rows and columns of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitStatus {
    /// Exit code; 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal, or 0.
    #[serde(default)]
    pub signal: i32,
}

/// Something happened to a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container's command was executed.
    Started(ContainerStatus),
    /// A container ended.
    Exited(ContainerStatus),
    /// The Pod's shim is gone without being asked; its containers were killed and are listed as exited.
    SandboxGone {
        /// The Pod's uid.
        pod_uid: String,
    },
}
