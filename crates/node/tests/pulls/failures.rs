//! What goes wrong between a registry and the store, and that nothing half-made is seen of it.

use crate::Lab;
use crate::fake::{Behaviour, Fake};
use crate::image::{Image, digest};

/// Text that no compression makes small.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from(state >> 33 & 63).expect("below 64"))
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn other_content_than_asked_for_is_refused() {
    let registry = Fake::start(Behaviour::default());
    let lab = Lab::new();
    let image = Image::new("x").layer("file", "x");
    registry.serve(&image, "app", "1");
    let name = registry.name("app:1");
    registry.behave(Behaviour { lies: true, ..Behaviour::default() });
    let error = lab.pull(&name).await.expect_err("refused").to_string();
    assert!(error.contains("has digest sha256:"), "{error}");

    // The configuration is right, a layer is not.
    registry.behave(Behaviour::default());
    let layer = image.layers().remove(0);
    let path = format!("/v2/app/blobs/{}", digest(&layer));
    registry.put(path.clone(), (vec![0; layer.len()], String::new()));
    let error = lab.pull(&name).await.expect_err("refused").to_string();
    assert!(error.contains("sends other content than asked for"), "{error}");
    assert!(lab.store.resolve(&name).is_err() && lab.leftovers().is_empty());
    registry.put(path, (layer, String::new()));

    // A manifest that is not the one asked for.
    let other = Image::new("y").layer("file", "y");
    let wanted = digest(&other.manifest());
    registry.put(format!("/v2/app/manifests/{wanted}"), (image.manifest(), image.media_type().into()));
    let error = lab.pull(&registry.name(&format!("app@{wanted}"))).await.expect_err("refused").to_string();
    assert!(error.contains("it was asked for as"), "{error}");
    lab.pull(&name).await.expect("the truth is taken");
}

#[tokio::test]
async fn a_connection_that_breaks_is_gone_on_with() {
    let registry = Fake::start(Behaviour { breaks_after: Some(40_000), ..Behaviour::default() });
    let lab = Lab::new();
    let image = Image::new("x").layer("big", &noise(120_000));
    let size = image.layers()[0].len();
    assert!(size > 80_000 && size < 120_000, "{size}");
    registry.serve(&image, "app", "1");
    lab.pull(&registry.name("app:1")).await.expect("pulled in parts");
    let parts = registry.requests(&digest(&image.layers()[0]));
    assert_eq!(parts.len(), 3, "{parts:?}");
    assert!(parts[1].ends_with("bytes=40000-") && parts[2].ends_with("bytes=80000-"), "{parts:?}");

    // One that does not know ranges begins again, and gives way to the Pod's back-off.
    registry.behave(Behaviour { breaks_after: Some(40_000), no_ranges: true, ..Behaviour::default() });
    let other = Image::new("y").layer("big", &noise(110_000));
    registry.serve(&other, "app", "2");
    let error = lab.pull(&registry.name("app:2")).await.expect_err("it breaks every time").to_string();
    assert!(error.contains("connection") && error.contains("sealane image load"), "{error}");
    assert!(lab.store.resolve(&registry.name("app:2")).is_err());
}

#[tokio::test]
async fn the_next_process_goes_on_where_the_last_one_ended() {
    let registry =
        Fake::start(Behaviour { breaks_after: Some(30_000), no_ranges: true, ..Behaviour::default() });
    let lab = Lab::new();
    let image = Image::new("x").layer("small", "s").layer("big", &noise(120_000));
    registry.serve(&image, "app", "1");
    let name = registry.name("app:1");
    lab.pull(&name).await.expect_err("the big layer does not come");
    assert!(lab.store.resolve(&name).is_err(), "no half image is seen");
    let before = registry.requests("/blobs/").len();

    let lab = lab.restarted();
    registry.behave(Behaviour::default());
    lab.pull(&name).await.expect("pulled");
    let after = registry.requests("/blobs/").split_off(before);
    assert_eq!(after.len(), 2, "the configuration and the rest of one layer: {after:?}");
    assert!(after.iter().any(|r| r.ends_with("bytes=30000-")), "{after:?}");
    assert!(lab.leftovers().is_empty());
}

/// In a mount namespace of its own, where a small file system is full soon.
#[test]
fn a_full_disk_is_named_and_not_kept_full() {
    let thread = std::thread::spawn(|| {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        #[allow(unsafe_code, reason = "the table of descriptors is not unshared")]
        // SAFETY: as said.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
            .expect("a mount namespace");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .expect("private mounts");
        let lab = Lab::new();
        let blobs = lab.dir.path().join("images/pulls/blobs");
        mount("none", &blobs, "tmpfs", MountFlags::empty(), Some(c"size=64k")).expect("a small file system");
        let registry = Fake::start(Behaviour::default());
        registry.serve(&Image::new("x").layer("big", &noise(120_000)), "app", "1");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(lab.pull(&registry.name("app:1"))).expect_err("full").to_string();
        assert!(error.contains("writing") && error.contains("No space left on device"), "{error}");
        assert!(lab.leftovers().is_empty());
        rustix::mount::unmount(&blobs, rustix::mount::UnmountFlags::DETACH).expect("unmounted");
    });
    thread.join().expect("no panic");
}

#[tokio::test]
async fn nothing_but_this_machine_is_dialled() {
    let registry =
        Fake::start(Behaviour { redirects_to: Some("http://registry.invalid".into()), ..Default::default() });
    let lab = Lab::new();
    registry.serve(&Image::new("x").layer("file", "x"), "app", "1");
    for (image, host) in [
        ("nginx", "docker.io"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io"),
        ("192.0.2.1:5000/app", "192.0.2.1:5000"),
        (&registry.name("app:1"), "registry.invalid"),
    ] {
        let error = lab.pull(image).await.expect_err("not dialled").to_string();
        let wanted = format!(
            "registry {host} is not dialled under --egress none; load the image with `sealane image load`"
        );
        assert_eq!(error, wanted);
    }
}

#[tokio::test]
async fn errors_name_the_registry_and_the_cause() {
    let registry = Fake::start(Behaviour::default());
    let lab = Lab::new();
    let error = lab.pull(&registry.name("app:none")).await.expect_err("not there").to_string();
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    assert_eq!(error, format!("registry {host} does not have manifest none of app: manifest unknown"));
    registry.behave(Behaviour { status: Some(503), ..Behaviour::default() });
    let error = lab.pull(&registry.name("app:1")).await.expect_err("out of order").to_string();
    assert_eq!(error, format!("registry {host} answers 503 for manifest 1 of app: out of order"));
    let error = lab.pull("127.0.0.1:1/app").await.expect_err("nobody listens").to_string();
    assert!(
        error.starts_with("registry 127.0.0.1:1: ")
            && error.contains("Connection refused")
            && error.ends_with("load the image with `sealane image load`"),
        "{error}"
    );
    let old = br#"{"schemaVersion": 1, "name": "app"}"#.to_vec();
    registry.behave(Behaviour::default());
    registry.put("/v2/app/manifests/old".into(), (old, "application/json".into()));
    let error = lab.pull(&registry.name("app:old")).await.expect_err("too old").to_string();
    assert!(error.contains("Docker's schema 1"), "{error}");
}
