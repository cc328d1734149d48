//! The image store: archives, layers, names, the built-in image.

use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use sealane_node::runtime::images::{ImageStore, MountMethod, mount_rootfs};
use sealane_node::runtime::{ContainerConfig, Runtime};
use tar::EntryType;

use crate::lab::{Lab, UID, add, add_dir, add_link, block_on, digest, docker_archive, exit_of, id};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("layers_and_whiteouts", layers_and_whiteouts),
    ("links_that_lead_out", links_that_lead_out),
    ("oci_archive", oci_archive),
    ("broken_archives", broken_archives),
    ("names_and_removal", names_and_removal),
    ("builtin_image", builtin_image),
];

fn store() -> (tempfile::TempDir, ImageStore) {
    let dir = tempfile::Builder::new().prefix("sealane-images-").tempdir_in("/var/tmp").expect("tempdir");
    let store = ImageStore::open(dir.path().join("images")).expect("open");
    (dir, store)
}

fn layer(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar);
    tar.into_inner().expect("tar")
}

fn layers_and_whiteouts() {
    let (dir, store) = store();
    let low = layer(|t| {
        add(t, "gone", 0o644, b"low");
        add(t, "kept", 0o4755, b"low");
        add(t, "opaque/below", 0o644, b"low");
        add_link(t, EntryType::Link, "hard", "kept");
    });
    let high = layer(|t| {
        add(t, ".wh.gone", 0o644, b"");
        add_dir(t, "opaque", 0o700);
        add(t, "opaque/.wh..wh..opq", 0o644, b"");
        add(t, "opaque/above", 0o644, b"high");
    });
    let archive = docker_archive(
        "layered:1",
        &[low, high],
        serde_json::json!({"User": "www", "StopSignal": "SIGQUIT"}),
    );
    let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzipped.write_all(&archive).expect("gzip");
    let names = store.load(&gzipped.finish().expect("gzip")[..]).expect("load");
    assert_eq!(names, ["docker.io/library/layered:1"]);
    let image = store.resolve("layered:1").expect("resolve");
    assert_eq!((image.user.as_str(), image.stop_signal.as_str(), image.layers.len()), ("www", "SIGQUIT", 2));
    let whiteout = image.layers[1].join("gone").symlink_metadata().expect("whiteout");
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    for method in [MountMethod::Best, MountMethod::OptionString] {
        let at = dir.path().join(format!("{method:?}"));
        let root = mount_rootfs(&image.layers, &at, method).expect("mount");
        let listed = |d: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(d)
                .expect("read")
                .flatten()
                .map(|e| e.file_name().into_string().expect("utf-8"))
                .collect();
            names.sort();
            names
        };
        let seen = (listed(&root), listed(&root.join("opaque")), root.join("kept").metadata().expect("kept"));
        rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH).expect("unmount");
        assert_eq!(seen.0, ["hard", "kept", "opaque"], "{method:?}");
        assert_eq!(seen.1, ["above"], "{method:?}");
        assert_eq!((seen.2.mode() & 0o7777, seen.2.nlink()), (0o4755, 2));
    }
}

fn links_that_lead_out() {
    let (dir, store) = store();
    let target = dir.path().join("outside");
    std::fs::create_dir(&target).expect("mkdir");
    let outside = target.to_str().expect("utf-8").to_owned();
    let evil = layer(|t| {
        add_link(t, EntryType::Symlink, "absolute", &outside);
        add(t, "absolute/file", 0o644, b"x");
        add_link(t, EntryType::Symlink, "climb", "../../../../outside");
        add(t, "climb/file", 0o644, b"x");
        add_link(t, EntryType::Symlink, "replaced", &format!("{outside}/victim"));
        add(t, "replaced", 0o644, b"x");
    });
    store.load(&docker_archive("evil:1", &[evil], serde_json::json!({}))[..]).expect("load");
    assert_eq!(std::fs::read_dir(&target).expect("read").count(), 0, "a file was written outside");
    let layer = &store.resolve("evil:1").expect("resolve").layers[0];
    assert!(layer.join(outside.trim_start_matches('/')).join("file").is_file(), "it is inside instead");
    assert!(layer.join("replaced").symlink_metadata().expect("replaced").is_file());
}

fn oci_archive() {
    let (_dir, store) = store();
    let content = layer(|t| add(t, "file", 0o644, b"x"));
    // Without the two empty blocks at the end, and without padding after the last file.
    let unpadded = content[..512 + 1].to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&unpadded).expect("gzip");
    let compressed = gzip.finish().expect("gzip");
    let config =
        serde_json::json!({"config": {"Cmd": ["/file"]}, "rootfs": {"diff_ids": [digest(&unpadded)]}})
            .to_string();
    let manifest = serde_json::json!({"schemaVersion": 2,
        "config": {"digest": digest(config.as_bytes())}, "layers": [{"digest": digest(&compressed)}]})
    .to_string();
    let index = serde_json::json!({"manifests": [{"digest": digest(manifest.as_bytes()),
        "annotations": {"org.opencontainers.image.ref.name": "localhost/oci:2"}}]});
    let archive = layer(|t| {
        let blob = |d: &str| format!("blobs/sha256/{}", d.trim_start_matches("sha256:"));
        add(t, "./index.json", 0o644, index.to_string().as_bytes());
        for content in [config.as_bytes(), manifest.as_bytes(), &compressed] {
            add(t, &blob(&digest(content)), 0o644, content);
        }
    });
    assert_eq!(store.load(&archive[..]).expect("load"), ["localhost/oci:2"]);
    let image = store.resolve("localhost/oci:2").expect("resolve");
    assert_eq!((image.id, image.cmd), (digest(config.as_bytes()), vec!["/file".to_owned()]));
}

fn broken_archives() {
    let (_dir, store) = store();
    let good = layer(|t| add(t, "file", 0o644, &[7; 4096]));
    let archive = docker_archive("localhost/x:1", std::slice::from_ref(&good), serde_json::json!({}));
    let mut changed = archive.clone();
    let at = archive.windows(9).position(|w| w == [7; 9]).expect("content");
    changed[at] = 8;
    for (broken, message) in [
        (changed, "has content sha256:"),
        (archive[..archive.len() / 2].to_vec(), "image archive"),
        (layer(|t| add(t, "file", 0o644, b"")), "neither manifest.json nor index.json"),
        (docker_archive("Bad Name", &[good], serde_json::json!({})), "invalid image name"),
        (b"\x28\xb5\x2f\xfdzstd".to_vec(), "zstd"),
    ] {
        let error = store.load(&broken[..]).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!(store.list().expect("list").is_empty());
    let error = store.resolve("localhost/x:1").expect_err("absent").to_string();
    assert_eq!(
        error,
        "image localhost/x:1 is not in the machine's store; load it with: sealane image load FILE"
    );
    let error = store.resolve("nigelpoulton/k8sbook:latest").expect_err("absent").to_string();
    assert_eq!(error, "no image nigelpoulton/k8sbook:latest in the machine's store");
    store.load(&archive[..]).expect("the whole one");
}

fn names_and_removal() {
    let lab = Lab::new();
    let shared = lab.image().layers[0].clone();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("web", "while :; do sleep 1; done")).await.expect("start");
        assert_eq!(lab.store.remove("localhost/busybox").expect("remove"), ["localhost/busybox:latest"]);
        assert!(shared.exists(), "a running container uses the layer");
        assert!(lab.store.resolve("localhost/busybox").is_err());
        runtime.remove_sandbox(UID).await.expect("remove");
    });
    let other = layer(|t| add(t, "file", 0o644, b"x"));
    lab.store.load(&docker_archive("localhost/other:1", &[other], serde_json::json!({}))[..]).expect("load");
    assert_eq!(lab.store.list().expect("list").len(), 1);
    lab.store.remove("localhost/other:1").expect("remove");
    assert!(!shared.exists(), "nobody uses it any more");
    assert_eq!(std::fs::read_dir(lab.dir.path().join("images/layers")).expect("read").count(), 0);
    assert!(lab.store.remove("localhost/other:1").is_err());
}

fn builtin_image() {
    let lab = Lab::new();
    // Any static program will do; busybox plays the binary.
    let binary = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(Path::new)
        .find(|p| p.exists())
        .expect("busybox");
    let names =
        [("localhost/hello:4.1", "4.1"), ("localhost/hello:4.2", "4.2"), ("localhost/hello:latest", "4.1")];
    lab.store.ensure_builtin(binary, &names).expect("make");
    let [old, new, latest] = names.map(|(n, _)| lab.store.resolve(n).expect(n));
    assert!(old.layers == new.layers && old.id == latest.id && old.id != new.id);
    assert!(new.env.contains(&("HELLO_VERSION".into(), "4.2".into())) && new.entrypoint == ["/hello"]);
    let made = old.layers[0].join("hello").metadata().expect("hello").ino();
    lab.store.ensure_builtin(binary, &names).expect("again");
    assert_eq!(old.layers[0].join("hello").metadata().expect("hello").ino(), made, "it was made once");
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let config = ContainerConfig {
            image: new,
            command: vec!["/hello".into(), "env".into()],
            ..lab.shell("web", "")
        };
        // busybox asks its own name what to do, so it says that it is no applet: it ran.
        runtime.create_and_start(UID, config).await.expect("start");
        assert_eq!(exit_of(&runtime, &id("web", 0)).await.exit_code, 127);
        assert!(lab.log("web").iter().any(|l| l.contains("applet not found")), "{:?}", lab.log("web"));
    });
    // And the real case: this very program.
    let me = std::env::current_exe().expect("current_exe");
    let start = std::time::Instant::now();
    lab.store.ensure_builtin(&me, &names).expect("make");
    let copy = lab.store.resolve("localhost/hello").expect("resolve").layers[0].join("hello");
    let size = |p: &Path| p.metadata().expect("metadata").len() >> 10;
    println!("  {} KiB of {} KiB in {:?}", size(&copy), size(&me), start.elapsed());
    let out = Command::new(&copy).arg("no-such-test").output().expect("run");
    assert!(out.status.success(), "{out:?}");
    assert!(!old.layers[0].exists(), "the old layer is gone");
}
