//! The built-in image: the running program itself as `/hello`, so that a cluster has something to serve without a
//! registry. One layer for all tags; they differ in an environment variable.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::json;

use super::locked::Locked;
use super::store::ImageStore;
use super::{ImageError, Reference, elf};

/// The environment variable by which the program knows which version it plays.
const VERSION: &str = "HELLO_VERSION";
const RECORD: &str = "builtin.json";

impl ImageStore {
    /// Makes sure that the built-in images are there and are a copy of `binary`: `names` are image names with the version
    /// each one shows, `("localhost/hello:4.1", "4.1")`. Does nothing if that is so already.
    ///
    /// # Errors
    /// [`ImageError`] when the program can't be copied.
    pub fn ensure_builtin(&self, binary: &Path, names: &[(&str, &str)]) -> Result<(), ImageError> {
        let stat = fs::metadata(binary).map_err(ImageError::io("reading", binary))?;
        let key = json!({
            "size": stat.len(), "mtime": [stat.mtime(), stat.mtime_nsec()], "inode": [stat.dev(), stat.ino()], "names": names,
        });
        let key = key.to_string().into_bytes();
        let record = self.path(RECORD);
        let complete =
            || names.iter().all(|(n, _)| self.resolve(n).is_ok_and(|i| i.layers.iter().all(|l| l.exists())));
        if fs::read(&record).is_ok_and(|old| old == key) && complete() {
            return Ok(());
        }
        let lock = self.lock()?;
        let diff_id = make_layer(&lock, binary)?;
        let mut added = Vec::new();
        for (name, version) in names {
            let id = lock.add_config(config(&diff_id, version).to_string().as_bytes())?;
            added.push((Reference::parse(name)?.to_string(), id));
        }
        lock.add_names(&added)?;
        lock.collect_garbage(&self.names()?)?;
        lock.replace(&record, &key)
    }
}

/// Returns the layer's name: the copy's own digest, as there is no tar.
fn make_layer(lock: &Locked<'_>, binary: &Path) -> Result<String, ImageError> {
    let aside = lock.temporary("builtin");
    fs::create_dir_all(&aside).map_err(ImageError::io("making", &aside))?;
    let digest = format!("sha256:{}", elf::copy_stripped(binary, &aside.join("hello"))?);
    if !lock.store.layer(&digest).exists() {
        lock.add_layer(&aside, &digest)?;
    }
    Ok(digest)
}

fn config(diff_id: &str, version: &str) -> serde_json::Value {
    json!({
        "architecture": std::env::consts::ARCH,
        "os": "linux",
        "config": {
            "Entrypoint": ["/hello"],
            "Env": ["PATH=/", format!("{VERSION}={version}")],
            "ExposedPorts": {"8080/tcp": {}, "9000/udp": {}},
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
}
