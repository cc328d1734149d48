//! The store's directory: names, configurations, layers.
//!
//! `lock`, `names.json` (full name → image id), `configs/HEX.json`, `layers/HEX/`, `tmp/` (work in progress; what a crash
//! leaves in it is deleted by the next one that holds the lock).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::config::{ConfigFile, hex};
use super::locked::Locked;
use super::{Image, ImageError, Reference};

/// The images of a machine.
#[derive(Clone, Debug)]
pub struct ImageStore {
    pub(super) dir: PathBuf,
}

/// One line of `sealane image ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The image's id, `sha256:…`.
    pub id: String,
    /// Its full names; those by a manifest's digest only if it has no other.
    pub names: Vec<String>,
    /// Number of layers.
    pub layers: usize,
    /// Bytes its layers take on disk.
    pub size_bytes: u64,
}

/// Full name → image id.
pub(super) type Names = BTreeMap<String, String>;

impl ImageStore {
    /// Opens the store in `dir` and makes what is missing. Several processes may have it open.
    ///
    /// # Errors
    /// [`ImageError::Io`] when the directory can't be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let dir = dir.into();
        for sub in ["configs", "layers", "tmp"] {
            fs::create_dir_all(dir.join(sub)).map_err(ImageError::io("making the image store", &dir))?;
        }
        Ok(Self { dir })
    }

    /// Takes every image out of a `docker save` or OCI archive (plain or gzipped) and returns their full names. Layers that
    /// are there already are not unpacked again.
    ///
    /// # Errors
    /// When the archive is broken or can't be unpacked; names are changed only when everything is in place.
    pub fn load(&self, reader: impl Read) -> Result<Vec<String>, ImageError> {
        let lock = self.lock()?;
        super::archive::load(&lock, reader)
    }

    /// The image with this name.
    ///
    /// # Errors
    /// [`ImageError::InvalidName`]; [`ImageError::NotInStore`] for a `localhost/` name that is not there, and
    /// [`ImageError::Unknown`] for any other.
    pub fn resolve(&self, reference: &str) -> Result<Image, ImageError> {
        let parsed = Reference::parse(reference)?;
        let full = parsed.key();
        let names = self.names()?;
        // Of an image out of an archive no manifest's digest is known: its id is taken for it.
        let id = names.get(&full).cloned().or_else(|| {
            let digest = parsed.digest.as_ref()?;
            names.values().find(|id| *id == digest).cloned()
        });
        match id {
            Some(id) => self.image(&id, &full, &names),
            None if parsed.is_local() => Err(ImageError::NotInStore(reference.to_owned())),
            None => Err(ImageError::Unknown(reference.to_owned())),
        }
    }

    /// Every image, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, id) in self.names()? {
            by_id.entry(id).or_default().push(name);
        }
        for names in by_id.values_mut().filter(|names| names.iter().any(|n| !is_by_digest(n))) {
            names.retain(|name| !is_by_digest(name));
        }
        let mut all = Vec::new();
        for (id, names) in by_id {
            let layers = self.config(&id)?.rootfs.diff_ids.len();
            let size_bytes = self.size_bytes(&id)?;
            all.push(ImageSummary { id, names, layers, size_bytes });
        }
        all.sort_by(|a, b| a.names.cmp(&b.names));
        Ok(all)
    }

    /// What an image's layers take on disk, in bytes.
    pub(super) fn size_bytes(&self, id: &str) -> Result<u64, ImageError> {
        Ok(self.config(id)?.rootfs.diff_ids.iter().map(|d| size_of_tree(&self.layer(d))).sum())
    }

    /// Removes a name (or, given an id, all its names), then the images without a name and the layers without an image.
    /// Layers that a container uses stay until a later call. Returns the names that went.
    ///
    /// # Errors
    /// [`ImageError::Unknown`].
    pub fn remove(&self, reference: &str) -> Result<Vec<String>, ImageError> {
        let lock = self.lock()?;
        let full = Reference::parse(reference).map(|r| r.key()).unwrap_or_default();
        let mut names = self.names()?;
        let mut gone: Vec<String> = names
            .iter()
            .filter(|(name, id)| **name == full || id.as_str() == reference || hex(id) == reference)
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() {
            return Err(ImageError::Unknown(reference.to_owned()));
        }
        // With its last tag an image's digest goes too.
        let ids: BTreeSet<String> = gone.iter().map(|name| names[name].clone()).collect();
        names.retain(|name, _| !gone.contains(name));
        let untagged = |id: &String| !names.iter().any(|(name, i)| i == id && !is_by_digest(name));
        let ids: BTreeSet<String> = ids.into_iter().filter(untagged).collect();
        gone.extend(names.iter().filter(|(_, id)| ids.contains(*id)).map(|(name, _)| name.clone()));
        names.retain(|name, _| !gone.contains(name));
        lock.write_names(&names)?;
        lock.collect_garbage(&names)?;
        Ok(gone)
    }

    /// Takes the store's lock, for changes.
    pub(super) fn lock(&self) -> Result<Locked<'_>, ImageError> {
        let path = self.dir.join("lock");
        let file = File::create(&path).map_err(ImageError::io("opening", &path))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| ImageError::io("locking", path)(e.into()))?;
        let tmp = self.dir.join("tmp");
        for entry in fs::read_dir(&tmp).map_err(ImageError::io("reading", &tmp))?.flatten() {
            delete(&entry.path());
        }
        Ok(Locked::new(self, file))
    }

    pub(super) fn names(&self) -> Result<Names, ImageError> {
        let path = self.dir.join("names.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| ImageError::io("reading", path)(e.into())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Names::new()),
            Err(e) => Err(ImageError::io("reading", path)(e)),
        }
    }

    /// The directory of the layer with this digest.
    pub(super) fn layer(&self, diff_id: &str) -> PathBuf {
        self.dir.join("layers").join(hex(diff_id))
    }

    /// Any other file of the store.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn config(&self, id: &str) -> Result<ConfigFile, ImageError> {
        let path = self.dir.join("configs").join(format!("{}.json", hex(id)));
        let text = fs::read(&path).map_err(ImageError::io("reading", &path))?;
        serde_json::from_slice(&text).map_err(|e| ImageError::io("reading", path)(e.into()))
    }

    fn image(&self, id: &str, asked: &str, names: &Names) -> Result<Image, ImageError> {
        let mut all = vec![asked.to_owned()];
        all.extend(names.iter().filter(|(n, i)| *i == id && *n != asked).map(|(n, _)| n.clone()));
        Ok(self.config(id)?.into_image(id.to_owned(), all, &self.dir.join("layers")))
    }
}

/// Locks layers for a container: they stay in the store while the files are open.
///
/// # Errors
/// When a layer is not (or no longer) there.
pub(crate) fn lock_layers(layers: &[PathBuf]) -> Result<Vec<File>, ImageError> {
    let lock = |path: &PathBuf| -> std::io::Result<File> {
        let file = File::open(path)?;
        flock(&file, FlockOperation::LockShared)?;
        fs::metadata(path)?;
        Ok(file)
    };
    layers.iter().map(|path| lock(path).map_err(ImageError::io("locking the image layer", path))).collect()
}

/// Whether a full name is by a manifest's digest.
fn is_by_digest(name: &str) -> bool {
    name.contains('@')
}

/// Deletes a file or tree. What can't be deleted is tried again by whoever takes the lock next.
pub(super) fn delete(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        drop(fs::remove_dir_all(path));
    } else {
        drop(fs::remove_file(path));
    }
}

fn size_of_tree(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(read) = fs::read_dir(dir) else { return 0 };
    read.flatten()
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => size_of_tree(&e.path()),
            Ok(m) => m.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// Bytes as hexadecimal digits.
pub(super) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut s, b| {
        write!(s, "{b:02x}").expect("writing to a String");
        s
    })
}
