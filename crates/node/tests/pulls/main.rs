//! Pulls from registries: Debian's docker-registry on 127.0.0.1, and a small registry of our own that misbehaves on demand.

mod auth;
mod failures;
mod fake;
mod formats;
mod image;
mod server;

use std::sync::Arc;

use sealane_node::runtime::images::{
    Credential, ImageStore, PullError, PullRequest, Pulled, Puller, Pulls, serve_pulls,
};
use tokio_util::sync::CancellationToken;

/// A store of its own, and who pulls into it.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: ImageStore,
    pub(crate) puller: Puller,
}

impl Lab {
    /// As under `--egress none`.
    pub(crate) fn new() -> Self {
        // Not in /tmp: whiteouts and attributes need a filesystem that has them.
        let dir =
            tempfile::Builder::new().prefix("sealane-pulls-").tempdir_in("/var/tmp").expect("a directory");
        let store = ImageStore::open(dir.path().join("images")).expect("a store");
        let puller = Puller::new(store.clone(), true).expect("a puller");
        Self { dir, store, puller }
    }

    /// Another process on the same store.
    pub(crate) fn restarted(self) -> Self {
        let puller = Puller::new(self.store.clone(), true).expect("a puller");
        Self { puller, ..self }
    }

    pub(crate) async fn pull(&self, image: &str) -> Result<Pulled, Arc<PullError>> {
        self.pull_as(image, &[]).await
    }

    pub(crate) async fn pull_as(
        &self,
        image: &str,
        users: &[(&str, &str)],
    ) -> Result<Pulled, Arc<PullError>> {
        let credential = |(name, word): &(&str, &str)| Credential {
            username: (*name).to_owned(),
            password: (*word).to_owned(),
            ..Default::default()
        };
        let credentials = users.iter().map(credential).collect();
        self.puller.pull(PullRequest { image: image.to_owned(), credentials }).await
    }

    /// What a file has in the topmost layer of an image.
    pub(crate) fn read(&self, image: &str, file: &str) -> String {
        let image = self.store.resolve(image).expect("the image is there");
        let layers = image.layers.iter().rev();
        let found = layers.map(|l| l.join(file)).find(|path| path.exists()).expect("the file is there");
        std::fs::read_to_string(found).expect("readable")
    }

    /// Files of the store's work in progress.
    pub(crate) fn leftovers(&self) -> Vec<std::path::PathBuf> {
        let dirs = ["blobs", "layers", "unpacking"].map(|d| self.dir.path().join("images/pulls").join(d));
        dirs.iter()
            .flat_map(|d| std::fs::read_dir(d).expect("a directory"))
            .flatten()
            .map(|e| e.path())
            .collect()
    }
}

#[tokio::test]
async fn nodes_ask_over_a_socket() {
    let lab = Lab::new();
    let socket = lab.dir.path().join("pull.sock");
    let pulls = Pulls::new(&socket);
    let request = |image: &str| PullRequest { image: image.to_owned(), credentials: Vec::new() };
    let error = pulls.pull(request("a")).await.expect_err("nobody listens");
    assert!(error.contains("does not answer") && error.contains("sealane status"), "{error}");

    std::fs::write(&socket, "left by a crash").expect("writable");
    let shutdown = CancellationToken::new();
    let (puller, end, at) = (lab.puller.clone(), shutdown.clone(), socket.clone());
    let serving = tokio::spawn(async move { serve_pulls(puller, &at, end).await });
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        tokio::task::yield_now().await;
    }
    let registry = fake::Fake::start(fake::Behaviour::default());
    let image = image::Image::new("socket").layer("file", "content");
    registry.serve(&image, "app", "1");
    let pulled = pulls.pull(request(&registry.name("app:1"))).await.expect("pulled");
    assert_eq!(pulled.id, image.id());
    assert_eq!(lab.read(&registry.name("app:1"), "file"), "content");
    let error = pulls.pull(request("nginx")).await.expect_err("not dialled");
    assert_eq!(
        error,
        "registry docker.io is not dialled under --egress none; load the image with `sealane image load`"
    );
    shutdown.cancel();
    serving.await.expect("no panic").expect("no error");
}
