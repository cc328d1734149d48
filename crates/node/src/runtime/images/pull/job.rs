//! One pull: name → manifest → configuration → layers → image.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::{FutureExt, StreamExt, TryStreamExt};

use super::super::Reference;
use super::super::config::{ConfigFile, is_digest};
use super::super::manifest::{Descriptor, Manifest, Platform};
use super::super::registry::{Credential, Registry, RegistryError, Transport};
use super::work::{Work, blocking};
use super::{PullError, Pulled, blob};

/// Layers of one image that are fetched at a time.
const AT_A_TIME: usize = 3;
/// Larger configurations are refused.
const CONFIG_LIMIT: usize = 8 << 20;
/// An image whose layers were deleted while it was pulled is pulled again so often.
const TRIES: usize = 3;

/// Pulls one image with one credential.
pub(super) async fn pull(
    work: &Work,
    transport: Arc<Transport>,
    reference: &Reference,
    credential: Option<Credential>,
) -> Result<Pulled, PullError> {
    let begun = Instant::now();
    let registry = Registry::open(transport, reference, credential).await?;
    let job = Job { work, registry, reference };
    let id = match job.unchanged().await {
        Some(id) => id,
        None => job.run().await?,
    };
    let (store, of) = (work.store.clone(), id.clone());
    let size_bytes = blocking(move || Ok(store.size_bytes(&of)?)).await?;
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Pulled { id, size_bytes, took_ms })
}

struct Job<'a> {
    work: &'a Work,
    registry: Registry,
    reference: &'a Reference,
}

/// An image as its registry has it.
struct Remote {
    config: Vec<u8>,
    /// Layers by the digest of their content.
    layers: Vec<(String, Descriptor)>,
}

impl Job<'_> {
    /// The image that is here, if the registry says that its tag still leads to it. Asked for by HEAD, which registries
    /// that count pulls do not count.
    async fn unchanged(&self) -> Option<String> {
        let tag = self.reference.tag.as_ref().filter(|_| self.reference.digest.is_none())?;
        let here = self.work.store.resolve(&self.reference.key()).ok()?;
        let digest = self.registry.digest(tag).await.ok()??;
        let there = self.work.store.resolve(&self.reference.with_digest(&digest).key()).ok()?;
        (here.id == there.id).then_some(here.id)
    }

    async fn run(&self) -> Result<String, PullError> {
        let name = self.reference.digest.as_ref().or(self.reference.tag.as_ref());
        let name = name.expect("a reference has a tag or a digest");
        let (manifest, digest) = self.manifest(name).await?;
        let remote = self.remote(&manifest).await?;
        let by_digest = self.reference.with_digest(&digest);
        let names = vec![self.reference.key(), by_digest.key()];
        for _ in 0..TRIES {
            self.fetch(&remote.layers).await?;
            let diff_ids = remote.layers.iter().map(|(diff_id, _)| diff_id.clone()).collect();
            if let Some(id) = self.work.commit(remote.config.clone(), diff_ids, names.clone()).await? {
                return Ok(id);
            }
        }
        Err(self.unsupported("its layers are deleted while it is pulled"))
    }

    /// The manifest for this machine, and the digest that the image's name leads to.
    async fn manifest(&self, name: &str) -> Result<(Manifest, String), PullError> {
        let top = self.registry.manifest(name).await?;
        let manifest = self.parse(&top.bytes)?;
        if manifest.config.is_some() {
            return Ok((manifest, top.digest));
        }
        let Some(chosen) = manifest.for_this_machine() else {
            let platforms = manifest.manifests.iter().filter_map(|d| d.platform.as_ref());
            let theirs: Vec<String> = platforms.map(Platform::to_string).collect();
            let (image, ours) = (self.reference.to_string(), Platform::ours().to_string());
            return Err(PullError::Platform { image, ours, theirs: theirs.join(", ") });
        };
        self.checked(&chosen.digest)?;
        let bytes = self.registry.manifest(&chosen.digest).await?.bytes;
        Ok((self.parse(&bytes)?, top.digest))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Manifest, PullError> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| self.malformed("manifest", e))?;
        if manifest.schema_version == 1 {
            return Err(self.unsupported("it is in Docker's schema 1, which is not read; push it again"));
        }
        Ok(manifest)
    }

    /// Configuration and layers, which must belong together.
    async fn remote(&self, manifest: &Manifest) -> Result<Remote, PullError> {
        let Some(config) = &manifest.config else {
            return Err(self.unsupported("its manifest has no configuration"));
        };
        self.checked(&config.digest)?;
        let bytes = self.registry.small_blob(&config.digest, CONFIG_LIMIT).await?;
        let parsed: ConfigFile =
            serde_json::from_slice(&bytes).map_err(|e| self.malformed("image configuration", e))?;
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let what =
                format!("{} layers for {} in its configuration", manifest.layers.len(), diff_ids.len());
            return Err(self.unsupported(&what));
        }
        for digest in diff_ids.iter().chain(manifest.layers.iter().map(|l| &l.digest)) {
            self.checked(digest)?;
        }
        let layers = diff_ids.into_iter().zip(manifest.layers.iter().cloned()).collect();
        Ok(Remote { config: bytes.to_vec(), layers })
    }

    /// Fetches the layers that are not there.
    async fn fetch(&self, layers: &[(String, Descriptor)]) -> Result<(), PullError> {
        let different: BTreeMap<&String, &Descriptor> = layers.iter().map(|(d, l)| (d, l)).collect();
        let fetches: Vec<_> =
            different.into_iter().map(|(diff_id, layer)| self.fetch_layer(diff_id, layer).boxed()).collect();
        futures::stream::iter(fetches).buffer_unordered(AT_A_TIME).try_collect().await
    }

    async fn fetch_layer(&self, diff_id: &str, layer: &Descriptor) -> Result<(), PullError> {
        let lock = self.work.lock(diff_id);
        let _alone = lock.lock().await;
        if self.work.has(diff_id) {
            return Ok(());
        }
        let path = self.work.blob(&layer.digest);
        blob::download(&self.registry, &self.reference.registry, layer, &path).await?;
        self.work.unpack(path, diff_id).await
    }

    /// Digests become file names: anything but SHA-256 in hexadecimal is refused.
    fn checked(&self, digest: &str) -> Result<(), PullError> {
        if is_digest(digest) {
            Ok(())
        } else {
            Err(self.unsupported(&format!("{digest:?} is not a SHA-256 digest")))
        }
    }

    fn unsupported(&self, what: &str) -> PullError {
        PullError::Unsupported { image: self.reference.to_string(), what: what.to_owned() }
    }

    fn malformed(&self, what: &'static str, cause: impl std::fmt::Display) -> PullError {
        let host = self.reference.registry.clone();
        RegistryError::Malformed { host, what, cause: cause.to_string() }.into()
    }
}
