//! Work in progress, in `pulls/` of the store: `blobs/HEX` downloads by the blob's digest, `layers/HEX` unpacked layers by
//! their content's digest, complete but part of no image yet, `unpacking/` what is neither.
//!
//! Kept apart from the store's `tmp/`, which whoever takes the store's lock empties: a pull takes the lock only to put
//! finished layers, configuration and name in place, so a slow registry holds up nobody.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::super::config::hex;
use super::super::store::ImageStore;
use super::super::{ImageError, layer};
use super::PullError;

/// What nobody went on with for so long is deleted at the next start.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// The store as pulls work on it.
pub(super) struct Work {
    pub(super) store: ImageStore,
    dir: PathBuf,
    /// One download of a layer at a time, whichever images want it.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Work {
    pub(super) fn open(store: ImageStore) -> Result<Self, PullError> {
        let dir = store.path("pulls");
        for sub in ["blobs", "layers", "unpacking"] {
            let sub = dir.join(sub);
            fs::create_dir_all(&sub).map_err(PullError::io("making", &sub))?;
            for entry in fs::read_dir(&sub).map_err(PullError::io("reading", &sub))?.flatten() {
                let changed = entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                if sub.ends_with("unpacking") || changed.elapsed().unwrap_or_default() > ABANDONED {
                    delete(&entry.path());
                }
            }
        }
        Ok(Self { store, dir, locks: Mutex::default() })
    }

    /// Where a blob is downloaded to.
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(hex(digest))
    }

    /// Where a layer waits for its image.
    fn layer(&self, diff_id: &str) -> PathBuf {
        self.dir.join("layers").join(hex(diff_id))
    }

    /// Whether a layer need not be fetched.
    pub(super) fn has(&self, diff_id: &str) -> bool {
        self.store.layer(diff_id).exists() || self.layer(diff_id).exists()
    }

    /// The lock of one layer's download.
    pub(super) fn lock(&self, diff_id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds are forgotten on the way.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(diff_id.to_owned()).or_default().clone()
    }

    /// Unpacks a downloaded blob, which is deleted.
    pub(super) async fn unpack(&self, blob: PathBuf, diff_id: &str) -> Result<(), PullError> {
        let aside = self.dir.join("unpacking").join(hex(diff_id));
        let (to, diff_id) = (self.layer(diff_id), diff_id.to_owned());
        blocking(move || {
            let file = fs::File::open(&blob).map_err(ImageError::io("opening", &blob))?;
            let unpacked = layer::unpack(std::io::BufReader::with_capacity(1 << 17, file), &aside, &diff_id);
            // Whether it worked or not, the same bytes will not do better.
            delete(&blob);
            if let Err(error) = unpacked {
                delete(&aside);
                return Err(error.into());
            }
            fs::rename(&aside, &to).map_err(PullError::io("renaming a layer to", to))
        })
        .await
    }

    /// Puts an image in place: layers, configuration, names. False if a layer went missing meanwhile.
    pub(super) async fn commit(
        &self,
        config: Vec<u8>,
        diff_ids: Vec<String>,
        names: Vec<String>,
    ) -> Result<Option<String>, PullError> {
        let (store, waiting) =
            (self.store.clone(), diff_ids.iter().map(|d| self.layer(d)).collect::<Vec<_>>());
        blocking(move || {
            let lock = store.lock()?;
            for (diff_id, made) in diff_ids.iter().zip(&waiting) {
                if !store.layer(diff_id).exists() && made.exists() {
                    lock.add_layer(made, diff_id)?;
                }
            }
            if !diff_ids.iter().all(|d| store.layer(d).exists()) {
                return Ok(None);
            }
            let id = lock.add_config(&config)?;
            let names: Vec<_> = names.into_iter().map(|name| (name, id.clone())).collect();
            lock.add_names(&names)?;
            Ok(Some(id))
        })
        .await
    }
}

pub(super) fn delete(path: &Path) {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = done {
        tracing::debug!(path = %path.display(), %error, "cannot delete what a pull left");
    }
}

/// Runs what blocks beside the async runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(PullError::io("running", "a blocking task")(e.into())),
    }
}
