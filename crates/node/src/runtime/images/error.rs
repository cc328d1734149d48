//! What can go wrong with images.

use std::io;
use std::path::PathBuf;

/// An error of the image store: what was being done, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name is under `localhost/` and not in the store.
    #[error("image {0} is not in the machine's store; load it with: sealane image load FILE")]
    NotInStore(String),
    /// Not an image name.
    #[error("invalid image name {0:?}")]
    InvalidName(String),
    /// The archive is neither `docker save`'s nor OCI's, or is broken.
    #[error("image archive: {0}")]
    Archive(String),
    /// A layer's content is not what its digest says.
    #[error("layer {wanted} has content {found}")]
    Digest {
        /// As the image's configuration says.
        wanted: String,
        /// As it was read.
        found: String,
    },
    /// The name is not in the store.
    #[error("no image {0} in the machine's store")]
    Unknown(String),
    /// Not an ELF program that can be copied.
    #[error("{0}: {1}")]
    Elf(PathBuf, &'static str),
    /// A system call or file operation failed.
    #[error("{what} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err`: says what was being done to which path.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
