//! Images of registries: pulled from one on 127.0.0.1 also under `--egress none`, and a clear word where none is dialled.

use crate::harness::{Cluster, succeeds, within};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Debian's docker-registry, gone with the test.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/registry}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            directory.display()
        );
        let file = directory.join("registry.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry; scripts/setup.sh installs it");
        let registry = Self { child, port };
        within(Duration::from_secs(20), "the registry listens", || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|e| e.to_string())
        });
        registry
    }

    /// Pushes an image `box:1` of nothing but busybox.
    fn push_busybox(&self, directory: &Path) {
        let script = r#"
            set -e; cd "$1"; base="http://127.0.0.1:$2/v2/box"
            mkdir -p root/bin; cp /bin/busybox root/bin/; tar -C root -cf layer.tar bin; gzip -nk layer.tar
            sum() { echo "sha256:$(sha256sum < "$1" | cut -d' ' -f1)"; }
            size() { stat -c %s "$1"; }
            put() {
                at=$(curl -sSfi --noproxy '*' -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
                curl -sSf --noproxy '*' -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$at&digest=$(sum "$1")"
            }
            oci=application/vnd.oci.image
            printf '{"architecture":"any","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}' "$(sum layer.tar)" > config
            printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"%s","size":%s},"layers":[{"mediaType":"%s.layer.v1.tar+gzip","digest":"%s","size":%s}]}' \
                $oci $oci "$(sum config)" "$(size config)" $oci "$(sum layer.tar.gz)" "$(size layer.tar.gz)" > manifest
            put config; put layer.tar.gz
            curl -sSf --noproxy '*' -X PUT -H "Content-Type: $oci.manifest.v1+json" --data-binary @manifest "$base/manifests/1"
        "#;
        let (directory, port) = (directory.display().to_string(), self.port.to_string());
        succeeds(&Command::new("bash").args(["-c", script, "push", &directory, &port]).output().unwrap());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_of_this_machine_is_pulled_from_and_no_other_is_dialled() {
    let cluster = Cluster::new();
    let work = tempfile::tempdir().unwrap();
    let registry = Registry::start(work.path());
    registry.push_busybox(work.path());
    succeeds(&cluster.up());

    let image = format!("--image=localhost:{}/box:1", registry.port);
    let echo = ["--restart=Never", "--", "/bin/busybox", "echo", "from the registry"];
    cluster.kubectl_ok(&[&["run", "near", &image][..], &echo].concat());
    within(Duration::from_secs(30), "the Pod has run", || {
        let phase = cluster.kubectl_ok(&["get", "pod", "near", "-o", "jsonpath={.status.phase}"]);
        if phase == "Succeeded" { Ok(()) } else { Err(cluster.kubectl_ok(&["describe", "pod", "near"])) }
    });
    assert_eq!(cluster.kubectl_ok(&["logs", "near"]).trim(), "from the registry");
    let description = cluster.kubectl_ok(&["describe", "pod", "near"]);
    for part in
        ["Pulling image \"localhost:", "Successfully pulled image", "including waiting). Image size: "]
    {
        assert!(description.contains(part), "{part} in\n{description}");
    }

    cluster.kubectl_ok(&["run", "far", "--image=registry.example.com/app:1"]);
    within(Duration::from_secs(30), "the Pod waits for its image", || {
        let pods = cluster.kubectl_ok(&["get", "pod", "far"]);
        if pods.contains("ImagePullBackOff") { Ok(()) } else { Err(pods) }
    });
    let description = cluster.kubectl_ok(&["describe", "pod", "far"]);
    for part in [
        "Failed to pull image \"registry.example.com/app:1\": registry registry.example.com is not dialled under --egress none; load the image with `sealane image load`",
        "Error: ErrImagePull",
        "Back-off pulling image \"registry.example.com/app:1\"",
    ] {
        assert!(description.contains(part), "{part} in\n{description}");
    }
}
