//! What registries hold: tags, digests, indexes, compressions; from docker-registry.

use crate::Lab;
use crate::fake::{Behaviour, Fake};
use crate::image::{Compression, INDEX, Image, digest, index};
use crate::server::Registry;

#[tokio::test]
async fn every_format_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start();
    let lab = Lab::new();
    let base = |mark: &str| Image::new(mark).layer("low", "low").layer("top", mark);
    for (tag, image) in [
        ("plain", base("plain").compressed(Compression::None)),
        ("gzip", base("gzip")),
        ("zstd", base("zstd").compressed(Compression::Zstd)),
        ("docker", base("docker").docker()),
    ] {
        registry.push(&image, "team/app", tag);
        let name = registry.name(&format!("team/app:{tag}"));
        let pulled = lab.pull(&name).await.expect(tag);
        assert_eq!((pulled.id, lab.read(&name, "top")), (image.id(), tag.to_owned()));
        assert!(pulled.size_bytes > 0);
        let by_digest = registry.name(&format!("team/app@{}", digest(&image.manifest())));
        assert_eq!(lab.store.resolve(&by_digest).expect("known by its digest too").id, image.id());
    }
    assert_eq!(lab.leftovers(), Vec::<std::path::PathBuf>::new());

    let other = Lab::new();
    let image = base("gzip");
    let both = registry.name(&format!("team/app:plain@{}", digest(&image.manifest())));
    assert_eq!(other.pull(&both).await.expect("the digest counts").id, image.id());
    assert_eq!(other.read(&both, "top"), "gzip");
    assert!(other.store.resolve(&registry.name("team/app:plain")).is_err(), "the tag was not asked for");
}

#[tokio::test]
async fn an_index_leads_to_this_machines_platform() {
    let registry = Registry::start();
    let lab = Lab::new();
    let ours = Image::new("ours").layer("which", "ours");
    let theirs = Image::new("theirs").layer("which", "theirs").for_platform("s390x");
    registry.push(&theirs, "multi", "theirs");
    registry.push(&ours, "multi", "ours");
    let both = index(&[&theirs, &ours]);
    registry.push_manifest("multi", "latest", INDEX, &both);
    let pulled = lab.pull(&registry.name("multi")).await.expect("pulled");
    assert_eq!(pulled.id, ours.id());
    assert_eq!(lab.read(&registry.name("multi:latest"), "which"), "ours");
    assert!(lab.store.resolve(&registry.name(&format!("multi@{}", digest(&both)))).is_ok());

    registry.push_manifest("multi", "foreign", INDEX, &index(&[&theirs]));
    let error =
        lab.pull(&registry.name("multi:foreign")).await.expect_err("not for this machine").to_string();
    assert!(error.contains("only for linux/s390x"), "{error}");
}

#[tokio::test]
async fn a_tag_that_moved_is_followed_and_layers_are_fetched_once() {
    let registry = Fake::start(Behaviour::default());
    let lab = Lab::new();
    let name = registry.name("app:latest");
    // A layer twice in one image, as empty ones often are.
    let first = Image::new("1").layer("low", "low").layer("top", "1").layer("low", "low");
    registry.serve(&first, "app", "latest");
    lab.pull(&name).await.expect("pulled");
    let blobs = registry.requests("/blobs/").len();
    assert_eq!(blobs, 3, "the configuration and two different layers");
    assert_eq!(lab.store.resolve(&name).expect("there").layers.len(), 3);

    lab.pull(&name).await.expect("nothing to do");
    assert_eq!(registry.requests("/blobs/").len(), blobs);
    assert_eq!(registry.requests("GET /v2/app/manifests/").len(), 1, "asked by HEAD, which is not counted");

    let second = Image::new("2").layer("low", "low").layer("top", "2");
    registry.serve(&second, "app", "latest");
    assert_eq!(lab.pull(&name).await.expect("pulled").id, second.id());
    assert_eq!(lab.read(&name, "top"), "2");
    assert_eq!(registry.requests("/blobs/").len(), blobs + 2, "configuration and one layer");

    lab.store.remove(&name).expect("removed");
    let by_digest = registry.name(&format!("app@{}", digest(&second.manifest())));
    assert!(lab.store.resolve(&by_digest).is_err(), "the digest goes with the last tag");
}

#[tokio::test]
async fn pulls_of_one_image_are_one() {
    let registry = Fake::start(Behaviour { delay_ms: 200, ..Behaviour::default() });
    let lab = Lab::new();
    registry.serve(&Image::new("x").layer("a", "a"), "app", "1");
    let name = registry.name("app:1");
    let results = futures::future::join_all((0..5).map(|_| lab.pull(&name))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(registry.requests("/manifests/").len(), 1);
    assert_eq!(registry.requests("/blobs/").len(), 2);
}
