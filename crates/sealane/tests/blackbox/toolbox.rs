//! An image with a shell: static busybox and curl with its libraries, as `docker save` writes it, for what must be asked from inside a
//! Pod. (busybox' own wget crashes where a static glibc finds no NSS libraries.)

use crate::harness::{Cluster, succeeds, within};
use sha2::{Digest, Sha256};
use std::process::Command;
use std::time::Duration;

/// The image's name.
pub(crate) const IMAGE: &str = "localhost/toolbox:1";

/// Loads the image and runs it as Pod `client`, from which [`in_client`] asks.
pub(crate) fn start_client(cluster: &Cluster) {
    load(cluster);
    let script = "trap 'exit 0' TERM; sleep 3600 & wait";
    cluster.kubectl_ok(&["run", "client", "--image", IMAGE, "--command", "--", "sh", "-c", script]);
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/client", "--timeout=30s"]);
}

/// Loads the image into the cluster's store.
pub(crate) fn load(cluster: &Cluster) {
    let path = cluster.directory.path().join("toolbox.tar");
    std::fs::write(&path, archive()).unwrap();
    succeeds(&cluster.sealane(&["image", "load", &path.display().to_string()]));
}

/// What a shell script prints in Pod `client`, or why it failed.
pub(crate) fn in_client(cluster: &Cluster, script: &str) -> Result<String, String> {
    let output = cluster.kubectl(&["exec", "client", "--", "timeout", "5", "sh", "-c", script]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

/// The page at `url`, asked for from Pod `client` until it comes.
pub(crate) fn page(cluster: &Cluster, url: &str) -> String {
    let mut page = String::new();
    within(Duration::from_secs(15), &format!("{url} from a Pod"), || {
        page = in_client(cluster, &format!("curl -sSf -m 2 -H 'Accept: application/json' {url}"))?;
        Ok(())
    });
    page
}

fn archive() -> Vec<u8> {
    let layer = layer();
    let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
    })
    .to_string();
    let config_name = format!("{}.json", digest(config.as_bytes()));
    let manifest = serde_json::json!([{"Config": config_name, "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, &config_name, config.as_bytes());
    file(&mut tar, "layer.tar", &layer);
    file(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap()
}

fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut directory = tar::Header::new_gnu();
    directory.set_entry_type(tar::EntryType::Directory);
    directory.set_mode(0o1777);
    directory.set_size(0);
    tar.append_data(&mut directory, "tmp/", std::io::empty()).unwrap();
    file(&mut tar, "bin/busybox", &std::fs::read("/bin/busybox").unwrap());
    with_libraries(&mut tar, "curl");
    let applets = succeeds(&Command::new("/bin/busybox").arg("--list").output().unwrap());
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_mode(0o755);
        link.set_size(0);
        tar.append_link(&mut link, format!("bin/{applet}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}

/// A program of this machine and what it is linked with.
fn with_libraries(tar: &mut tar::Builder<Vec<u8>>, program: &str) {
    let path = succeeds(&Command::new("which").arg(program).output().unwrap());
    let path = path.trim();
    file(tar, &format!("bin/{program}"), &std::fs::read(path).unwrap());
    let linked = succeeds(&Command::new("ldd").arg(path).output().unwrap());
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        file(tar, &library[1..], &std::fs::read(library).unwrap());
    }
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, path, content).unwrap();
}
