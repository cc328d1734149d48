//! Changes of the store, which hold its lock.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::ImageError;
use super::config::hex;
use super::store::{ImageStore, Names, delete, encode};

/// The store while its lock is held; dropping it releases the lock.
pub(super) struct Locked<'a> {
    pub(super) store: &'a ImageStore,
    _file: File,
}

impl<'a> Locked<'a> {
    /// With the locked file.
    pub(super) fn new(store: &'a ImageStore, file: File) -> Self {
        Self { store, _file: file }
    }
}

impl Locked<'_> {
    /// A path for work in progress, unique while the lock is held.
    pub(super) fn temporary(&self, name: &str) -> PathBuf {
        self.store.dir.join("tmp").join(name)
    }

    /// Stores a configuration and returns the image's id.
    pub(super) fn add_config(&self, text: &[u8]) -> Result<String, ImageError> {
        let digest = encode(&Sha256::digest(text));
        self.replace(&self.store.dir.join("configs").join(format!("{digest}.json")), text)?;
        Ok(format!("sha256:{digest}"))
    }

    /// Gives images their names; a name that belonged to another image moves.
    pub(super) fn add_names(&self, added: &[(String, String)]) -> Result<(), ImageError> {
        let mut names = self.store.names()?;
        names.extend(added.iter().cloned());
        self.write_names(&names)
    }

    /// Moves a finished layer into place.
    pub(super) fn add_layer(&self, made: &Path, diff_id: &str) -> Result<(), ImageError> {
        let to = self.store.layer(diff_id);
        fs::rename(made, &to).map_err(ImageError::io("renaming a layer to", to))
    }

    pub(super) fn write_names(&self, names: &Names) -> Result<(), ImageError> {
        let text = serde_json::to_vec_pretty(names).expect("a map of strings is JSON");
        self.replace(&self.store.dir.join("names.json"), &text)
    }

    /// Writes a file aside and renames it, so that a reader sees the old or the new content.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), ImageError> {
        let aside = self.temporary("replace");
        fs::write(&aside, content).map_err(ImageError::io("writing", &aside))?;
        fs::rename(&aside, path).map_err(ImageError::io("renaming to", path))
    }

    /// Deletes the configurations without a name and the layers without a configuration, unless a container uses them.
    pub(super) fn collect_garbage(&self, names: &Names) -> Result<(), ImageError> {
        let used: BTreeSet<&str> = names.values().map(|id| hex(id)).collect();
        let mut layers = BTreeSet::new();
        for id in names.values() {
            layers.extend(self.store.config(id)?.rootfs.diff_ids.iter().map(|d| hex(d).to_owned()));
        }
        for (path, name) in entries(&self.store.dir.join("configs")) {
            if !used.contains(name.trim_end_matches(".json")) {
                delete(&path);
            }
        }
        for (path, name) in entries(&self.store.dir.join("layers")) {
            if layers.contains(&name) {
                continue;
            }
            // Held until the layer is gone from its place: a shim that locks it later sees that and refuses.
            if let Some(_unused) = lock_unused(&path) {
                let aside = self.temporary(&name);
                if fs::rename(&path, &aside).is_ok() {
                    delete(&aside);
                }
            }
        }
        Ok(())
    }
}

/// The layer's lock, if no container's shim holds it.
fn lock_unused(layer: &Path) -> Option<File> {
    let file = File::open(layer).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok().map(|()| file)
}

fn entries(dir: &Path) -> Vec<(PathBuf, String)> {
    let Ok(read) = fs::read_dir(dir) else { return Vec::new() };
    read.flatten().map(|e| (e.path(), e.file_name().to_string_lossy().into_owned())).collect()
}
