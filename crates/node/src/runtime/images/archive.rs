//! Image archives: what `docker save` writes (`manifest.json`) and OCI layouts in a tar (`index.json`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use serde::Deserialize;

use super::config::{ConfigFile, is_digest};
use super::locked::Locked;
use super::manifest::{Descriptor, Manifest};
use super::{ImageError, Reference, layer};

/// One image of an archive: full names, configuration, members that hold its layers.
struct Found {
    names: Vec<String>,
    config: String,
    layers: Vec<String>,
}

/// Loads every image of the archive and returns the names.
pub(super) fn load(lock: &Locked<'_>, reader: impl Read) -> Result<Vec<String>, ImageError> {
    let members = Members::spool(lock, reader)?;
    let mut names = Vec::new();
    for image in members.images()? {
        let text = members.read(&image.config)?;
        let config: ConfigFile = serde_json::from_slice(&text).map_err(|e| broken(&image.config, e))?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() || !diff_ids.iter().all(|d| is_digest(d)) {
            return Err(ImageError::Archive(format!("{} does not match its layers", image.config)));
        }
        for (diff_id, member) in diff_ids.iter().zip(&image.layers) {
            if !lock.store.layer(diff_id).exists() {
                let aside = lock.temporary("layer");
                layer::unpack(members.open(member)?, &aside, diff_id)?;
                lock.add_layer(&aside, diff_id)?;
            }
        }
        let id = lock.add_config(&text)?;
        names.extend(image.names.into_iter().map(|name| (name, id.clone())));
    }
    if names.is_empty() {
        return Err(ImageError::Archive("no named image in it".to_owned()));
    }
    lock.add_names(&names)?;
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

/// The archive's files, set aside, because the one that explains the others may come last.
struct Members {
    files: BTreeMap<String, PathBuf>,
}

impl Members {
    fn spool(lock: &Locked<'_>, reader: impl Read) -> Result<Self, ImageError> {
        let failed = |e: io::Error| ImageError::Archive(format!("reading it: {e}"));
        let mut files = BTreeMap::new();
        let mut links = Vec::new();
        let mut archive = tar::Archive::new(layer::padded(layer::decompressed(reader).map_err(failed)?));
        for (n, entry) in archive.entries().map_err(failed)?.enumerate() {
            let mut entry = entry.map_err(failed)?;
            let name = clean(&entry.path().map_err(failed)?.to_string_lossy());
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let path = lock.temporary(&format!("member-{n}"));
                let mut file = File::create(&path).map_err(ImageError::io("making", &path))?;
                io::copy(&mut entry, &mut file).map_err(ImageError::io("writing", &path))?;
                files.insert(name, path);
            } else if let (true, Some(to)) =
                (kind.is_symlink() || kind.is_hard_link(), entry.link_name().map_err(failed)?)
            {
                // Old `docker save` writes a layer once and links to it, relative to the link's own directory.
                let base = if kind.is_symlink() { name.rsplit_once('/').map_or("", |(d, _)| d) } else { "" };
                links.push((name.clone(), clean(&format!("{base}/{}", to.to_string_lossy()))));
            }
        }
        for (from, to) in links {
            if let Some(path) = files.get(&to).cloned() {
                files.insert(from, path);
            }
        }
        Ok(Self { files })
    }

    fn open(&self, name: &str) -> Result<BufReader<File>, ImageError> {
        let path = self
            .files
            .get(&clean(name))
            .ok_or_else(|| ImageError::Archive(format!("{name} is missing in it")))?;
        File::open(path).map(BufReader::new).map_err(ImageError::io("opening", path))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        self.open(name)?.read_to_end(&mut text).map_err(|e| broken(name, e))?;
        Ok(text)
    }

    fn parse<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<T, ImageError> {
        serde_json::from_slice(&self.read(name)?).map_err(|e| broken(name, e))
    }

    /// What is in the archive. Docker's list is preferred: archives of today carry both, and it has the full names.
    fn images(&self) -> Result<Vec<Found>, ImageError> {
        if self.files.contains_key("manifest.json") {
            let list: Vec<DockerImage> = self.parse("manifest.json")?;
            return list.into_iter().map(DockerImage::found).collect();
        }
        if !self.files.contains_key("index.json") {
            return Err(ImageError::Archive("neither manifest.json nor index.json in it".to_owned()));
        }
        let index: Manifest = self.parse("index.json")?;
        index.manifests.iter().map(|d| self.oci_image(d)).collect()
    }

    fn oci_image(&self, top: &Descriptor) -> Result<Found, ImageError> {
        let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"].iter().find_map(|key| {
            top.annotations.get(*key).filter(|v| v.contains([':', '/']) || key.starts_with("io."))
        });
        let names = name.map(|n| Reference::parse(n).map(|r| r.to_string())).transpose()?;
        let mut manifest: Manifest = self.parse(&blob(&top.digest)?)?;
        if manifest.config.is_none() {
            let chosen = manifest.for_this_machine().or(manifest.manifests.first());
            let chosen =
                chosen.ok_or_else(|| ImageError::Archive(format!("{} lists no image", top.digest)))?;
            manifest = self.parse(&blob(&chosen.digest)?)?;
        }
        let config =
            manifest.config.ok_or_else(|| ImageError::Archive("a manifest has no config".to_owned()))?;
        let layers = manifest.layers.iter().map(|d| blob(&d.digest)).collect::<Result<_, _>>()?;
        Ok(Found { names: names.into_iter().collect(), config: blob(&config.digest)?, layers })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerImage {
    fn found(self) -> Result<Found, ImageError> {
        let names = self.repo_tags.unwrap_or_default();
        let names = names.iter().map(|n| Reference::parse(n).map(|r| r.to_string()));
        Ok(Found { names: names.collect::<Result<_, _>>()?, config: self.config, layers: self.layers })
    }
}

fn blob(digest: &str) -> Result<String, ImageError> {
    match digest.split_once(':') {
        Some((algorithm, hex)) => Ok(format!("blobs/{algorithm}/{hex}")),
        None => Err(ImageError::Archive(format!("{digest:?} is not a digest"))),
    }
}

/// A member's name without `./`, `//` and `..`, so that names and references to them compare.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn broken(name: &str, error: impl std::fmt::Display) -> ImageError {
    ImageError::Archive(format!("{name}: {error}"))
}
