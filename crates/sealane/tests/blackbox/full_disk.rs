//! On a full disk the cluster says so, keeps what it has and keeps serving; when there is room it takes writes again.

use crate::harness::{Cluster, get, succeeds, within};
use crate::thread::{DEPLOYMENT, answered_by, node_port};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small file system of its own; unmounted when dropped, after the cluster on it.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=128m", "tmpfs"]).arg(&path).output();
        succeeds(&mount.unwrap());
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0x55; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_said_nothing_is_lost_and_room_mends_it() {
    let mut cluster = Cluster::new();
    let small = Small::mount(cluster.directory.path().join("small"));
    cluster.data = Some(small.0.join("data"));
    succeeds(&cluster.up());
    cluster.apply(&DEPLOYMENT.replace("replicas: 10", "replicas: 2"));
    cluster.kubectl_ok(&["expose", "deployment", "web-deploy", "--type=NodePort"]);
    let port = node_port(&cluster, "web-deploy");
    answered_by(&cluster, port, 2);

    let filler = small.0.join("filler");
    fill(&filler);
    let mut number = 0;
    let mut made = Vec::new();
    within(Duration::from_secs(20), "the full disk is said", || {
        number += 1;
        let name = format!("c{number}");
        let long = format!("--from-literal=a={}", "x".repeat(60_000));
        let output = cluster.kubectl(&["create", "configmap", &name, &long]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            made.push(format!("configmap/{name}"));
            return Err(format!("{name} was taken"));
        }
        assert!(error.contains("is full") && error.contains("read-only until there is room"), "{error}");
        Ok(())
    });
    get(port).expect("the Service serves on");
    cluster.kubectl_ok(&["get", "pods"]);

    std::fs::remove_file(&filler).unwrap();
    within(Duration::from_secs(20), "writes again", || {
        let output = cluster.kubectl(&["create", "configmap", "after", "--from-literal=a=b"]);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    });
    succeeds(&cluster.sealane(&["down", "--keep-data"]));
    succeeds(&cluster.up());
    made.push("configmap/after".into());
    let there = cluster.kubectl_ok(&["get", "configmaps", "-o", "name"]);
    assert!(made.iter().all(|name| there.lines().any(|line| line == name)), "{made:?} are in\n{there}");
    drop(cluster);
}
