//! A node's worth of directories and cgroups, removed whatever happens.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sealane_node::runtime::images::{Image, ImageStore};
use sealane_node::runtime::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, Embedded, EmbeddedConfig, Runtime,
    RuntimeEvent, SandboxConfig, reap_cluster,
};
use sha2::{Digest, Sha256};

/// The first Pod's uid.
pub(crate) const UID: &str = "5f0c3b5e-0000-4000-8000-000000000001";

/// One node.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cgroup: String,
    pub(crate) store: ImageStore,
}

impl Lab {
    /// With `busybox` in its image store.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir =
            tempfile::Builder::new().prefix("sealane-runtime-").tempdir_in("/var/tmp").expect("tempdir");
        let cgroup = format!("sealane/test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let store = ImageStore::open(dir.path().join("images")).expect("store");
        assert_eq!(store.load(&busybox_archive()[..]).expect("load"), ["localhost/busybox:latest"]);
        Self { dir, cgroup, store }
    }

    pub(crate) fn image(&self) -> Image {
        self.store.resolve("localhost/busybox").expect("resolve")
    }

    pub(crate) async fn runtime(&self) -> Embedded {
        let me = std::env::current_exe().expect("current_exe");
        let config = EmbeddedConfig {
            pods_dir: self.dir.path().join("pods"),
            shim_command: vec![me.into(), "pod-shim".into()],
            cluster: "test".into(),
        };
        Embedded::new(config).await.expect("runtime")
    }

    pub(crate) fn pod_dir(&self) -> PathBuf {
        self.dir.path().join("pods").join(UID)
    }

    pub(crate) fn sandbox(&self) -> SandboxConfig {
        SandboxConfig {
            uid: UID.into(),
            namespace: "default".into(),
            name: "web-0".into(),
            hostname: "web-0".into(),
            dir: self.pod_dir(),
            cgroup_parent: format!("{}/node-1/{UID}", self.cgroup),
            ..Default::default()
        }
    }

    /// A container that runs a shell script.
    pub(crate) fn shell(&self, name: &str, script: &str) -> ContainerConfig {
        ContainerConfig {
            name: name.into(),
            image: self.image(),
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            log_path: self.log_path(name),
            ..Default::default()
        }
    }

    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name).join("0.log")
    }

    /// The log's lines without their times.
    pub(crate) fn log(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.log_path(name)).unwrap_or_default();
        text.lines().map(|l| l.split_once(' ').map_or(l, |(_, rest)| rest).to_owned()).collect()
    }

    /// What is left on the machine that names this lab.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        found.extend(
            mounts.lines().filter(|l| l.contains(&*self.dir.path().to_string_lossy())).map(str::to_owned),
        );
        let ours = format!("*{}*", self.cgroup);
        let find = ["/sys/fs/cgroup", "-type", "d", "-path", &ours];
        let out = Command::new("find").args(find).output().expect("find");
        found.extend(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned));
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            if read("cgroup").contains(&self.cgroup) && !read("stat").contains(") Z ") {
                found.push(format!("process {} {}", entry.file_name().to_string_lossy(), read("cmdline")));
            }
        }
        found
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        reap_cluster(&self.cgroup, &[self.dir.path()]).expect("reap");
        // What was killed takes a moment to end, longer on a busy machine.
        let end = Instant::now() + Duration::from_secs(5);
        let mut left = self.remains();
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = self.remains();
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

pub(crate) fn id(name: &str, attempt: u32) -> ContainerId {
    ContainerId { pod_uid: UID.into(), name: name.into(), attempt }
}

/// Runs a test in a runtime with several threads, at most for half a minute.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), future).await.expect("in time") })
}

/// The end of a container, by its event.
pub(crate) async fn exit_of(runtime: &Embedded, id: &ContainerId) -> ContainerStatus {
    let mut events = runtime.events();
    if let Some(status) =
        runtime.status(id).await.expect("status").filter(|s| s.state == ContainerState::Exited)
    {
        return status;
    }
    loop {
        match events.recv().await.expect("event") {
            RuntimeEvent::Exited(status) if status.id == *id => return status,
            _ => {}
        }
    }
}

/// Retries until true.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A member of a tar.
pub(crate) fn add(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_cksum();
    tar.append_data(&mut header, path, content).expect("append");
}

/// A directory in a tar.
pub(crate) fn add_dir(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    header.set_cksum();
    tar.append_data(&mut header, path, &[][..]).expect("append");
}

/// A symbolic or hard link in a tar.
pub(crate) fn add_link(tar: &mut tar::Builder<impl Write>, kind: tar::EntryType, path: &str, to: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, path, to).expect("append");
}

/// `sha256:…`
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// What `docker save` would write for these layers.
pub(crate) fn docker_archive(name: &str, layers: &[Vec<u8>], config: serde_json::Value) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|l| digest(l)).collect();
    let config =
        serde_json::json!({"config": config, "rootfs": {"type": "layers", "diff_ids": ids}}).to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut files = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        files.push(format!("{n}/layer.tar"));
        add(&mut tar, &files[n], 0o644, layer);
    }
    add(&mut tar, "config.json", 0o644, config.as_bytes());
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": files}]);
    add(&mut tar, "manifest.json", 0o644, manifest.to_string().as_bytes());
    tar.into_inner().expect("tar")
}

fn busybox_archive() -> Vec<u8> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|p| Path::new(p).exists());
    let busybox = busybox.expect("a static busybox must be installed (apt install busybox-static)");
    let program = std::fs::read(busybox).expect("read busybox");
    let mut layer = tar::Builder::new(Vec::new());
    add_dir(&mut layer, "bin", 0o755);
    add(&mut layer, "bin/busybox", 0o755, &program);
    for name in [
        "sh", "sleep", "cat", "echo", "id", "hostname", "kill", "head", "tail", "ls", "stty", "env", "mount",
        "grep", "touch",
    ] {
        add_link(&mut layer, tar::EntryType::Symlink, &format!("bin/{name}"), "busybox");
    }
    add_dir(&mut layer, "tmp", 0o1777);
    add_dir(&mut layer, "etc", 0o755);
    add(&mut layer, "etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:www:/srv:/bin/sh\n");
    let layer = layer.into_inner().expect("tar");
    docker_archive(
        "localhost/busybox:latest",
        &[layer],
        serde_json::json!({"Env": ["PATH=/bin", "FROM=image"], "Cmd": ["/bin/sh"]}),
    )
}
