//! What can't be done is said in one clear sentence with exit code 1, and leaves nothing.

use crate::harness::{Cluster, host_state, refuses, sealane, succeeds};
use std::process::Command;

#[test]
fn a_taken_port_names_its_holder_and_leaves_nothing() {
    let cluster = Cluster::new();
    let before = host_state();
    let _holder = std::net::TcpListener::bind(("127.0.0.1", cluster.port)).unwrap();
    let error = refuses(&cluster.up());
    assert!(error.contains("is taken by") && error.contains("--api-port"), "{error}");
    assert_eq!(before, host_state());
    assert!(!cluster.data_dir().exists());
}

#[test]
fn without_root_the_error_says_sudo() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("sealane");
    std::fs::copy(env!("CARGO_BIN_EXE_sealane"), &copy).unwrap();
    succeeds(&Command::new("chmod").args(["-R", "a+rx"]).arg(directory.path()).output().unwrap());
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let output =
        Command::new("setpriv").args(as_nobody).arg(&copy).args(["up", "--egress", "none"]).output().unwrap();
    assert!(refuses(&output).contains("sudo sealane up"));
}

#[test]
fn a_corrupt_store_is_named_and_left_as_it_is() {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    succeeds(&cluster.sealane(&["down", "--keep-data"]));
    let store = cluster.data_dir().join("store/store.redb");
    let garbage = vec![0x5a; 64 << 10];
    std::fs::write(&store, &garbage).unwrap();
    let error = refuses(&cluster.up());
    assert!(error.contains("store.redb"), "{error}");
    assert_eq!(std::fs::read(&store).unwrap(), garbage);
    assert!(cluster.pids("sealane run").is_empty(), "no process is left");
    succeeds(&cluster.sealane(&["down"]));
}

#[test]
fn a_directory_of_somebody_else_is_not_taken() {
    let cluster = Cluster::new();
    std::fs::create_dir(cluster.data_dir()).unwrap();
    std::fs::write(cluster.data_dir().join("thesis.tex"), "mine").unwrap();
    let error = refuses(&cluster.up());
    assert!(error.contains("--data-dir"), "{error}");
    assert!(cluster.data_dir().join("thesis.tex").exists());
}

#[test]
fn a_missing_kernel_feature_is_named() {
    let cluster = Cluster::new();
    let before = host_state();
    // A mount namespace in which the kernel seems to know no file system, and modprobe is nowhere.
    let empty = cluster.directory.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let script = format!(
        "mount --bind {} /proc/filesystems && PATH=/nowhere exec {} up --name {} --egress none --api-port {} --data-dir {}",
        empty.display(),
        env!("CARGO_BIN_EXE_sealane"),
        cluster.name,
        cluster.port,
        cluster.data_dir().display(),
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let error = refuses(&output);
    assert!(error.contains("overlayfs") && error.contains("modprobe overlay"), "{error}");
    assert_eq!(before, host_state());
}

#[test]
fn other_flags_than_the_cluster_was_made_with_are_named() {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    let error = refuses(&cluster.up_with(&["--service-cidr", "10.50.0.0/16"]));
    assert!(error.contains("--service-cidr is 10.96.0.0/16, not 10.50.0.0/16"), "{error}");
    let again = succeeds(&cluster.up());
    assert!(again.contains("is up"), "{again}");
}

#[test]
fn an_unknown_cluster_is_no_panic() {
    assert!(refuses(&sealane(&["status", "--name", "nowhere"])).contains("sealane list"));
    assert!(succeeds(&sealane(&["down", "--name", "nowhere"])).contains("there is no cluster nowhere"));
}
