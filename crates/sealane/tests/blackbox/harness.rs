//! A cluster for one test, gone with it whatever happens.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tests that compare the host before and after run one at a time.
static ALONE: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A cluster's name, directories and port; `down` when dropped.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) port: u16,
    /// Another data directory than one in `directory`.
    pub(crate) data: Option<PathBuf>,
    _alone: MutexGuard<'static, ()>,
}

impl Cluster {
    /// A name and directories for a cluster that is not up yet.
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{count}", std::process::id());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { name, directory: tempfile::tempdir().unwrap(), port, data: None, _alone: alone }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.directory.path().join("data"))
    }

    /// `sealane … --name NAME`.
    pub(crate) fn sealane(&self, arguments: &[&str]) -> Output {
        sealane(&[arguments, &["--name", &self.name]].concat())
    }

    /// `sealane up` without a way to the outside.
    pub(crate) fn up(&self) -> Output {
        self.up_with(&[])
    }

    pub(crate) fn up_with(&self, more: &[&str]) -> Output {
        let port = self.port.to_string();
        let data = self.data_dir().display().to_string();
        let kubeconfig = self.kubeconfig().display().to_string();
        let fixed =
            ["up", "--egress", "none", "--api-port", &port, "--data-dir", &data, "--kubeconfig", &kubeconfig];
        self.sealane(&[&fixed, more].concat())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// kubectl against this cluster.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg("120").arg("kubectl").args(arguments).env("KUBECONFIG", self.kubeconfig());
        command.env("KUBECACHEDIR", self.directory.path().join("cache")).output().unwrap()
    }

    /// What kubectl prints, which must succeed.
    pub(crate) fn kubectl_ok(&self, arguments: &[&str]) -> String {
        succeeds(&self.kubectl(arguments))
    }

    /// Applies a manifest.
    pub(crate) fn apply(&self, manifest: &str) -> String {
        let path = self.directory.path().join("manifest.yml");
        std::fs::write(&path, manifest).unwrap();
        self.kubectl_ok(&["apply", "-f", &path.display().to_string()])
    }

    /// The pids of this cluster's processes whose command line holds `part`.
    pub(crate) fn pids(&self, part: &str) -> Vec<i32> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(part) && line.contains(&self.name)
        })
        .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.sealane(&["down"]);
    }
}

/// Runs the binary under test, for two minutes at the most.
pub(crate) fn sealane(arguments: &[&str]) -> Output {
    Command::new("timeout").arg("120").arg(env!("CARGO_BIN_EXE_sealane")).args(arguments).output().unwrap()
}

/// The standard output of a command that must have succeeded.
pub(crate) fn succeeds(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The one sentence of a command that must have failed with exit code 1.
pub(crate) fn refuses(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "one sentence: {error}");
    error
}

/// Asks again until it holds, or fails with what it last said.
pub(crate) fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + limit;
    loop {
        match holds() {
            Ok(()) => return,
            Err(why) if Instant::now() > end => panic!("{what}: not within {limit:?}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// What a cluster may not leave behind: links, routes, rules, tables, mounts, cgroups, directories, processes.
pub(crate) fn host_state() -> String {
    let script = "ip -o link | awk -F': ' '{print $2}'; ip route show table all | grep -v linkdown; ip -6 route; ip rule; ip netns list
        nft list tables; awk '{print $2}' /proc/mounts | sort; find /sys/fs/cgroup -type d -path '*sealane*' | sort
        cat /proc/sys/net/ipv4/ip_forward; ls -d /run/*sealane* /var/lib/*sealane* 2>/dev/null
        pgrep -af 'sealane run' | grep -v pgrep; true";
    succeeds(&Command::new("sh").args(["-c", script]).output().unwrap())
}

/// GET of a page on the host, with its body.
pub(crate) fn get(port: u16) -> Result<String, String> {
    let url = format!("http://127.0.0.1:{port}/");
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--noproxy", "*", "-m", "3", "-H", "Accept: application/json", &url]);
    let output = curl.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
