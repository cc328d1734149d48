//! Unpacks one layer: a tar, perhaps gzipped, into a directory that overlayfs can use as a lower layer.
//!
//! Whiteouts become what overlayfs understands: `.wh.NAME` a character device 0:0, `.wh..wh..opq` the attribute
//! `trusted.overlay.opaque` on its directory.

use std::fs;
use std::io::{self, Chain, Cursor, Read, Repeat, Take};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::place::{Attributes, Root};
use super::store::encode;
use super::{ImageError, zstd};

/// Unpacks into `dir` (made anew) and checks the content's digest. On an error `dir` is left for the caller's clean-up.
pub(super) fn unpack(reader: impl Read, dir: &Path, diff_id: &str) -> Result<(), ImageError> {
    let making = ImageError::io("unpacking a layer to", dir);
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(ImageError::io("deleting", dir))?;
    }
    fs::create_dir(dir).map_err(ImageError::io("making", dir))?;
    let mut hashed = (|| {
        let mut archive = tar::Archive::new(padded(Hashing::new(decompressed(reader)?)));
        let root = Root::open(dir)?;
        for entry in archive.entries()? {
            place(&root, &mut entry?)?;
        }
        Ok::<_, io::Error>(archive.into_inner().into_inner())
    })()
    .map_err(making)?;
    // What follows the end marker belongs to the digest too.
    io::copy(&mut hashed, &mut io::sink()).map_err(ImageError::io("reading to the end of", dir))?;
    let found = format!("sha256:{}", encode(&hashed.hash.finalize()));
    if found == diff_id { Ok(()) } else { Err(ImageError::Digest { wanted: diff_id.to_owned(), found }) }
}

fn place(root: &Root, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
    let path = relative(&entry.path()?)?;
    let header = entry.header();
    let attributes = Attributes {
        mode: header.mode()?,
        // Some tools leave fields empty; that is zero.
        uid: u32::try_from(header.uid().unwrap_or(0)).unwrap_or(0),
        gid: u32::try_from(header.gid().unwrap_or(0)).unwrap_or(0),
        mtime_seconds: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0),
        xattrs: xattrs(entry)?,
    };
    let (Some(name), Some(parent)) =
        (path.file_name().map(|n| n.to_string_lossy().into_owned()), path.parent())
    else {
        return root.dress(Path::new("."), &attributes);
    };
    if name == ".wh..wh..opq" {
        return root.make_opaque(parent);
    }
    if let Some(hidden) = name.strip_prefix(".wh.") {
        return root.whiteout(&parent.join(hidden));
    }
    let header = entry.header();
    match header.entry_type() {
        EntryType::Directory => root.directory(&path, &attributes),
        EntryType::Symlink => root.symlink(&path, &link(entry)?, &attributes),
        EntryType::Link => root.hard_link(&path, &relative(&link(entry)?)?),
        kind @ (EntryType::Char | EntryType::Block) => {
            let (major, minor) =
                (header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default());
            root.device(&path, kind == EntryType::Char, major, minor, &attributes)
        }
        EntryType::Fifo => root.fifo(&path, &attributes),
        EntryType::XGlobalHeader => Ok(()),
        _ => root.file(&path, entry, &attributes),
    }
}

fn link(entry: &tar::Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let name = entry.link_name()?.ok_or_else(|| io::Error::other("a link without a target"))?;
    Ok(name.into_owned())
}

/// Extended attributes, as pax headers carry them. Those of overlayfs itself are not for an image to set.
fn xattrs(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for extension in extensions {
        let extension = extension?;
        if let Some(name) = extension.key().unwrap_or("").strip_prefix("SCHILY.xattr.")
            && !name.starts_with("trusted.overlay.")
        {
            found.push((name.to_owned(), extension.value_bytes().to_vec()));
        }
    }
    Ok(found)
}

/// The path below the layer's root; `..` in an archive is refused.
fn relative(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(io::Error::other(format!("a path with .. in it: {}", path.display()))),
        }
    }
    Ok(clean)
}

/// The reader's content, unpacked if it is gzip or Zstandard.
pub(super) fn decompressed<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut magic)?;
    let (gzip, zstd) = (magic.starts_with(&[0x1f, 0x8b]), zstd::is_frame(&magic));
    let whole = Cursor::new(magic).chain(reader);
    Ok(match (gzip, zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(whole)),
        (_, true) => Box::new(zstd::Frames::new(whole)),
        _ => Box::new(whole),
    })
}

/// Zeros after the reader's end: some tools write tars without the final padding. No more than padding and end marker
/// take, so that a truncated tar is still an error.
pub(super) fn padded<R: Read>(reader: R) -> Padded<R> {
    Padded(reader.chain(io::repeat(0).take(511 + 1024)))
}

/// See [`padded`].
pub(super) struct Padded<R>(Chain<R, Take<Repeat>>);

impl<R> Padded<R> {
    fn into_inner(self) -> R {
        self.0.into_inner().0
    }
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}
