//! The database file: its schema, how it is judged when opened, and one commit.
//!
//! Table `entries` maps a key to its create revision, its modification revision (8 bytes each, little endian) and its
//! value; table `meta` holds the schema version and the newest revision. Only the present is on disk: history is memory.

use super::provisional::Provisional;
use super::refusal::{Refusal, failed};
use super::witness::Witness;
use crate::{Entry, Event, Revision, StoreError};
use bytes::Bytes;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, backends::FileBackend,
};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the layout described above; it grows with every change that an older program would misread.
const SCHEMA: u64 = 1;
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Reads are served from our own memory; the database needs only its upper pages.
const CACHE_BYTES: usize = 4 << 20;

/// An open database and its witness.
#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
    witness: Witness,
    path: PathBuf,
}

/// What the database held when it was opened.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) revision: Revision,
    pub(super) entries: Vec<Entry>,
}

impl Disk {
    /// Opens the store in `directory`, or makes an empty one. Nothing on disk changes unless the store is accepted.
    pub(super) fn open(directory: &Path) -> Result<(Self, Content), StoreError> {
        let path = directory.join("store.redb");
        let io = |doing: &'static str| {
            let path = path.clone();
            move |error: io::Error| failed(doing, &path, StorageError::Io(error))
        };
        fs::create_dir_all(directory).map_err(io("making the directory of the store"))?;
        if !fs::exists(&path).map_err(io("looking for the store"))? {
            create(directory, &path)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io("opening the store"))?;
        let witness =
            Witness::open(&directory.join("acknowledged")).map_err(io("opening the witness of the store"))?;
        let acknowledged = witness.acknowledged().map_err(io("reading the witness of the store"))?;
        let (backend, hold) =
            Provisional::new(FileBackend::new(file).map_err(|e| failed("opening", &path, e))?);
        let (database, content) = judge(&path, backend)?;
        if content.revision < acknowledged {
            let path = path.display().to_string();
            return Err(Refusal::Lost { path, found: content.revision, acknowledged }.into());
        }
        hold.release().map_err(io("repairing the store"))?;
        Ok((Self { database, witness, path }, content))
    }

    /// Makes the changes durable, all or none of them.
    pub(super) fn commit(&self, events: &[Arc<Event>]) -> Result<(), StoreError> {
        let Some(last) = events.last() else { return Ok(()) };
        self.write(last.revision, events)
            .map_err(|error| failed("writing to the store", &self.path, error))?;
        if let Err(error) = self.witness.acknowledge(last.revision) {
            // The commit is durable; only the proof of it is late, and the next one brings it.
            tracing::warn!(%error, "the witness of the store cannot be written");
        }
        Ok(())
    }

    fn write(&self, revision: Revision, events: &[Arc<Event>]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            for event in events {
                match &event.current {
                    Some(entry) => drop(entries.insert(&*event.key, &*encode(entry))?),
                    None => drop(entries.remove(&*event.key)?),
                }
            }
            transaction.open_table(META)?.insert("revision", revision)?;
        }
        Ok(transaction.commit()?)
    }
}

/// Makes an empty store under another name first, so that a store which bears its name is whole.
fn create(directory: &Path, path: &Path) -> Result<(), StoreError> {
    let new = directory.join("store.redb.new");
    let make = || -> Result<(), redb::Error> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(&new)?;
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(META)?.insert("schema", SCHEMA)?;
        transaction.commit()?;
        drop(database);
        fs::rename(&new, path)?;
        Ok(File::open(directory)?.sync_all()?)
    };
    make().map_err(|error| failed("making the store", path, error))
}

/// Opens what is in the file with every check there is, and reads all of it.
fn judge(path: &Path, backend: Provisional) -> Result<(Database, Content), StoreError> {
    // The database's own checks return errors for all damage that they foresee; a panic is damage that they do not.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(|error| refuse_open(path, error))?;
        let content = read(path, &database)?;
        Ok((database, content))
    }));
    judged.unwrap_or_else(|_| Err(Refusal::Corrupt { path: path.display().to_string() }.into()))
}

fn refuse_open(path: &Path, error: DatabaseError) -> StoreError {
    let name = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => Refusal::Busy { path: name }.because(error),
        DatabaseError::UpgradeRequired(_) => Refusal::Foreign { path: name }.because(error),
        DatabaseError::Storage(StorageError::Io(ref io)) if io.kind() == io::ErrorKind::InvalidData => {
            Refusal::Foreign { path: name }.because(error)
        }
        DatabaseError::Storage(StorageError::Io(ref io)) if io.kind() == io::ErrorKind::UnexpectedEof => {
            Refusal::Corrupt { path: name }.because(error)
        }
        DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::RepairAborted => {
            Refusal::Corrupt { path: name }.because(error)
        }
        error => failed("opening the store", path, error),
    }
}

fn read(path: &Path, database: &Database) -> Result<Content, StoreError> {
    let name = || path.display().to_string();
    let damaged = |error: redb::Error| Refusal::Corrupt { path: name() }.because(error);
    let table_error = |error: TableError| match error {
        TableError::Storage(error) => damaged(error.into()),
        error => Refusal::Foreign { path: name() }.because(error),
    };
    let transaction = database.begin_read().map_err(|error| damaged(error.into()))?;
    let meta = transaction.open_table(META).map_err(table_error)?;
    let number =
        |key| meta.get(key).map(|value| value.map(|value| value.value())).map_err(|e| damaged(e.into()));
    match number("schema")? {
        Some(SCHEMA) => {}
        Some(found) if found > SCHEMA => {
            return Err(Refusal::Newer { path: name(), found, known: SCHEMA }.into());
        }
        _ => return Err(Refusal::Foreign { path: name() }.into()),
    }
    let revision = number("revision")?.unwrap_or(0);
    let table = transaction.open_table(ENTRIES).map_err(table_error)?;
    let mut entries = Vec::new();
    for item in table.iter().map_err(|error| damaged(error.into()))? {
        let (key, value) = item.map_err(|error| damaged(error.into()))?;
        let entry = decode(key.value(), value.value());
        entries.push(entry.ok_or_else(|| StoreError::from(Refusal::Corrupt { path: name() }))?);
    }
    Ok(Content { revision, entries })
}

fn encode(entry: &Entry) -> Vec<u8> {
    [&entry.create_revision.to_le_bytes(), &entry.mod_revision.to_le_bytes(), &*entry.value].concat()
}

fn decode(key: &str, bytes: &[u8]) -> Option<Entry> {
    let (create, rest) = bytes.split_first_chunk()?;
    let (modified, value) = rest.split_first_chunk()?;
    Some(Entry {
        key: key.into(),
        value: Bytes::copy_from_slice(value),
        create_revision: Revision::from_le_bytes(*create),
        mod_revision: Revision::from_le_bytes(*modified),
    })
}
