//! Places files of a layer below a directory and never outside it: every path is resolved by the kernel with
//! `openat2(RESOLVE_IN_ROOT)`, so a symlink in the layer leads at most to the layer's own root.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchown, linkat, makedev, mkdirat, mknodat, openat, openat2, readlinkat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

/// Who owns a file, and how it may be used.
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime_seconds: i64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

impl Attributes {
    fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.mode & 0o7777)
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime_seconds, tv_nsec: 0 };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// A directory that stands for `/`.
pub(super) struct Root(OwnedFd);

impl Root {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(dir, flags, Mode::empty())?))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Opens a directory, making it and its parents if missing; what a dangling symlink on the way names is made too.
    fn ensure(&self, path: &Path) -> io::Result<OwnedFd> {
        self.ensure_through(path, MOST_LINKS)
    }

    fn ensure_through(&self, path: &Path, links: u32) -> io::Result<OwnedFd> {
        let directory = OFlags::RDONLY | OFlags::DIRECTORY;
        let (above, name) = match (self.resolve(path, directory), path.parent(), path.file_name()) {
            (Err(Errno::NOENT), Some(above), Some(name)) if links > 0 => (above, name),
            (other, _, _) => return Ok(other?),
        };
        let parent = self.ensure_through(above, links)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => {
                let to = readlinkat(&parent, name, Vec::new())?;
                let to = lexical(above, Path::new(std::ffi::OsStr::from_bytes(to.as_bytes())));
                self.ensure_through(&to, links - 1)
            }
            other => {
                other?;
                Ok(self.resolve(path, directory)?)
            }
        }
    }

    /// The directory that holds `path`, and its last name.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
        let name = path.file_name().ok_or_else(|| io::Error::other("an empty path"))?;
        Ok((self.ensure(path.parent().unwrap_or(Path::new(".")))?, name))
    }

    /// As [`Root::parent`], with nothing left under the name: a later entry of a tar replaces an earlier one.
    fn vacate<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
        let (parent, name) = self.parent(path)?;
        match unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => {
                let place = format!("/proc/self/fd/{}/", std::os::fd::AsRawFd::as_raw_fd(&parent));
                std::fs::remove_dir_all(Path::new(&place).join(name))?;
            }
            Err(e) => return Err(e.into()),
        }
        Ok((parent, name))
    }

    pub(super) fn directory(&self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            // A directory over a directory keeps its content; anything else gives way. A symlink is not followed.
            Err(Errno::EXIST) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if openat(&parent, name, flags, Mode::empty()).is_err() {
                    unlinkat(&parent, name, AtFlags::empty())?;
                    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                }
            }
            Err(e) => return Err(e.into()),
        }
        self.dress(path, attributes)
    }

    /// Gives an existing directory its owner, mode and attributes.
    pub(super) fn dress(&self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        dress_open(&self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?, attributes)
    }

    pub(super) fn file(
        &self,
        path: &Path,
        content: &mut dyn Read,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let (parent, name) = self.vacate(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&parent, name, flags, Mode::from_raw_mode(0o600))?);
        io::copy(content, &mut file)?;
        dress_open(&file, attributes)
    }

    pub(super) fn symlink(&self, path: &Path, to: &Path, attributes: &Attributes) -> io::Result<()> {
        let (parent, name) = self.vacate(path)?;
        symlinkat(to, &parent, name)?;
        let (uid, gid) = attributes.owner();
        chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(utimensat(&parent, name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(super) fn hard_link(&self, path: &Path, to: &Path) -> io::Result<()> {
        if path == to {
            return Ok(());
        }
        let (from, old) = self.parent(to)?;
        let (parent, name) = self.vacate(path)?;
        Ok(linkat(&from, old, &parent, name, AtFlags::empty())?)
    }

    pub(super) fn device(
        &self,
        path: &Path,
        character: bool,
        major: u32,
        minor: u32,
        a: &Attributes,
    ) -> io::Result<()> {
        let kind = if character { FileType::CharacterDevice } else { FileType::BlockDevice };
        self.node(path, kind, makedev(major, minor), a)
    }

    pub(super) fn fifo(&self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        self.node(path, FileType::Fifo, 0, attributes)
    }

    fn node(&self, path: &Path, kind: FileType, device: u64, attributes: &Attributes) -> io::Result<()> {
        let (parent, name) = self.vacate(path)?;
        mknodat(&parent, name, kind, attributes.mode(), device)?;
        let (uid, gid) = attributes.owner();
        chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(utimensat(&parent, name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Hides what lower layers have under this name.
    pub(super) fn whiteout(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.vacate(path)?;
        Ok(mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?)
    }

    /// Hides what lower layers have in this directory.
    pub(super) fn make_opaque(&self, dir: &Path) -> io::Result<()> {
        let dir = self.ensure(dir)?;
        Ok(rustix::fs::fsetxattr(dir, "trusted.overlay.opaque", b"y", XattrFlags::empty())?)
    }
}

/// Makes a directory, and those above it, below `root` if they are missing.
///
/// # Errors
/// When something on the way is no directory.
pub(crate) fn ensure_directory(root: &Path, path: &Path) -> io::Result<()> {
    Root::open(root)?.ensure(path.strip_prefix("/").unwrap_or(path)).map(drop)
}

/// The text of a file below `root`; empty if there is none.
pub(crate) fn read_below(root: &Path, path: &str) -> String {
    let mut text = String::new();
    if let Ok(fd) = Root::open(root).and_then(|r| Ok(r.resolve(Path::new(path), OFlags::RDONLY)?)) {
        // Not UTF-8, or no file: as good as none.
        drop(File::from(fd).read_to_string(&mut text));
    }
    text
}

/// As many symlinks are followed to one file, as the kernel does.
const MOST_LINKS: u32 = 40;

/// Where a symlink in `dir` leads, below the root; `..` never leads above it.
fn lexical(dir: &Path, to: &Path) -> PathBuf {
    let mut path = if to.is_absolute() { PathBuf::new() } else { dir.to_owned() };
    for part in to.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            _ => {}
        }
    }
    path
}

/// Owner first: changing it clears set-uid bits and file capabilities.
fn dress_open(file: &impl AsFd, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = attributes.owner();
    fchown(file, uid, gid)?;
    rustix::fs::fchmod(file, attributes.mode())?;
    for (name, value) in &attributes.xattrs {
        match rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty()) {
            // An attribute that this file system or kernel does not have (SELinux labels, say) is no loss.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(rustix::fs::futimens(file, &attributes.times())?)
}
