//! A container's root filesystem: the image's layers below a writable one, by overlayfs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::ImageError;

/// How the layers are told to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountMethod {
    /// One by one, if the kernel can (6.8 and later), else as a string.
    Best,
    /// As one string of options, at most a page long.
    OptionString,
}

/// Mounts `layers` (lowest first) and a writable layer in `dir` (`upper`, `work`) at `dir/rootfs`, in the calling
/// process' mount namespace, and returns that path.
///
/// # Errors
/// [`ImageError::Io`].
pub fn mount_rootfs(layers: &[PathBuf], dir: &Path, method: MountMethod) -> Result<PathBuf, ImageError> {
    let (upper, work, rootfs, empty) =
        (dir.join("upper"), dir.join("work"), dir.join("rootfs"), dir.join("empty"));
    for path in [&upper, &work, &rootfs, &empty] {
        fs::create_dir_all(path).map_err(ImageError::io("making", path))?;
    }
    // overlayfs wants the topmost first, at least one, and none twice: what a layer does once more hides what it did below.
    let mut seen = BTreeSet::new();
    let mut lower: Vec<&Path> =
        layers.iter().rev().map(PathBuf::as_path).filter(|l| seen.insert(*l)).collect();
    if lower.is_empty() {
        lower.push(&empty);
    }
    let overlay = Overlay { lower, upper: &upper, work: &work, at: &rootfs };
    let mounted = match method {
        MountMethod::Best => overlay.mount_layer_by_layer().or_else(|_| overlay.mount_by_options()),
        MountMethod::OptionString => overlay.mount_by_options(),
    };
    mounted.map_err(ImageError::io("mounting the root filesystem at", &rootfs))?;
    Ok(rootfs)
}

struct Overlay<'a> {
    lower: Vec<&'a Path>,
    upper: &'a Path,
    work: &'a Path,
    at: &'a Path,
}

impl Overlay<'_> {
    fn mount_layer_by_layer(&self) -> io::Result<()> {
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in &self.lower {
            fsconfig_set_string(&fs, "lowerdir+", *layer)?;
        }
        fsconfig_set_string(&fs, "upperdir", self.upper)?;
        fsconfig_set_string(&fs, "workdir", self.work)?;
        fsconfig_create(&fs)?;
        let made = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let here = rustix::fs::CWD;
        Ok(move_mount(made, "", here, self.at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }

    fn mount_by_options(&self) -> io::Result<()> {
        let lower: Vec<Vec<u8>> = self.lower.iter().map(|p| escape(p, b":,\\")).collect();
        let mut options = b"lowerdir=".to_vec();
        options.extend(lower.join(&b':'));
        for (key, path) in [(",upperdir=", self.upper), (",workdir=", self.work)] {
            options.extend(key.as_bytes());
            options.extend(escape(path, b",\\"));
        }
        let too_long = || io::Error::other("the names of the image's layers are longer than a page");
        if options.len() >= 4096 {
            return Err(too_long());
        }
        let options = std::ffi::CString::new(OsString::from_vec(options).as_bytes())?;
        Ok(mount("overlay", self.at, "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
    }
}

/// A path as a mount option takes it.
fn escape(path: &Path, special: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if special.contains(&byte) {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text
}
