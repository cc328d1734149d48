//! The newest acknowledged revision, beside the database.
//!
//! After a crash the database falls back to its last but one commit if the pages of the last one are damaged. That is
//! right for a commit that was never acknowledged and would be a silent loss for one that was. The witness tells the two
//! apart. It is written after the commit is durable and before it is acknowledged, without a sync of its own: it can
//! lag behind the database, and never claims what was not durable.

use crate::Revision;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file that holds the revision, 8 bytes, little endian.
#[derive(Debug)]
pub(super) struct Witness(File);

impl Witness {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?))
    }

    /// What was acknowledged; 0 if nothing was written yet.
    pub(super) fn acknowledged(&self) -> io::Result<Revision> {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Revision::from_le_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(super) fn acknowledge(&self, revision: Revision) -> io::Result<()> {
        self.0.write_all_at(&revision.to_le_bytes(), 0)
    }
}
