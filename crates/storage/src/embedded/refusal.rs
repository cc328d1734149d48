//! Why a store is not opened: one sentence that says what is wrong and what to do.

use crate::StoreError;
use std::error::Error;
use std::io;
use std::path::Path;

/// What is wrong with the directory of a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the store {path} was written by a newer version (its schema is {found}, this version knows up to {known}): use that version, or move it away to start with an empty store"
    )]
    Newer { path: String, found: u64, known: u64 },
    #[error("{path} is not a store of this program: give another data directory, or move that file away")]
    Foreign { path: String },
    #[error(
        "the store {path} is corrupt: restore its directory from a copy, or move it away to start with an empty store"
    )]
    Corrupt { path: String },
    #[error(
        "the store {path} is corrupt (it ends at revision {found}, but {acknowledged} was acknowledged): restore its directory from a copy, or move it away to start with an empty store"
    )]
    Lost { path: String, found: u64, acknowledged: u64 },
    #[error(
        "the store {path} is in use by another process: stop that one first, or give another data directory"
    )]
    Busy { path: String },
}

impl Refusal {
    /// The store error with a cause of its own.
    pub(super) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Backend { doing: self.to_string(), source: source.into() }
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        let why = match refusal {
            Refusal::Newer { .. } => "the schema is newer",
            Refusal::Foreign { .. } => "the content is not a store's",
            Refusal::Corrupt { .. } | Refusal::Lost { .. } => "the content is damaged",
            Refusal::Busy { .. } => "the file is locked",
        };
        refusal.because(why)
    }
}

/// The store error of a failed operation on `path`; a full disk is told apart.
pub(super) fn failed(doing: &str, path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    match &error {
        redb::Error::Io(io) if is_full(io) => StoreError::Full { path: path.display().to_string() },
        _ => StoreError::Backend { doing: format!("{doing} {}", path.display()), source: error.into() },
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
