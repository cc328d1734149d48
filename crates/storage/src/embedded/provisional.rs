//! The file below the database, which stays as it was until the database in it has been accepted.
//!
//! Opening a database repairs it, and a repair of a file that turns out to be damaged or foreign would destroy what a
//! person might still save. So everything that is written while the file is being judged is kept in memory; only
//! [`Hold::release`] lets it, and all that follows, through to the disk.

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A write that waits for the file to be accepted.
#[derive(Debug)]
enum Held {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

#[derive(Debug)]
enum State {
    /// The file is being judged.
    Held(Vec<Held>),
    /// The file was accepted.
    Open,
    /// What was held could not be written; whatever follows would rest on it.
    Failed,
}

#[derive(Debug)]
struct Inner {
    file: FileBackend,
    state: Mutex<State>,
}

/// The backend to open the database with.
#[derive(Debug)]
pub(super) struct Provisional(Arc<Inner>);

/// Lets the writes through.
#[derive(Debug)]
pub(super) struct Hold(Arc<Inner>);

impl Provisional {
    /// A backend over `file`.
    pub(super) fn new(file: FileBackend) -> (Self, Hold) {
        let inner = Arc::new(Inner { file, state: Mutex::new(State::Held(Vec::new())) });
        (Self(inner.clone()), Hold(inner))
    }
}

impl Hold {
    /// Writes what was held, in order, and from now on everything at once.
    pub(super) fn release(self) -> io::Result<()> {
        let mut state = self.0.state();
        let State::Held(held) = std::mem::replace(&mut *state, State::Failed) else { return Err(failed()) };
        for write in held {
            self.0.write_through(write)?;
        }
        *state = State::Open;
        Ok(())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, write: Held) -> io::Result<()> {
        match &mut *self.state() {
            State::Held(held) => held.push(write),
            State::Open => self.write_through(write)?,
            State::Failed => return Err(failed()),
        }
        Ok(())
    }

    fn write_through(&self, write: Held) -> io::Result<()> {
        match write {
            Held::Write(offset, data) => self.file.write(offset, &data),
            Held::SetLen(len) => self.file.set_len(len),
            Held::Sync => self.file.sync_data(),
        }
    }

    fn held_len(&self, held: &[Held]) -> io::Result<u64> {
        let mut len = self.file.len()?;
        for write in held {
            match write {
                Held::SetLen(new) => len = *new,
                Held::Write(offset, data) => len = len.max(offset + data.len() as u64),
                Held::Sync => {}
            }
        }
        Ok(len)
    }

    /// What a read would find if all held writes had been done.
    fn read_held(&self, held: &[Held], offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if end > self.held_len(held)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let on_disk = offset..end.min(self.file.len()?);
        if !on_disk.is_empty() {
            self.file.read(offset, &mut out[within(&on_disk, offset)])?;
        }
        for write in held {
            match write {
                Held::Write(at, data) => {
                    let both = offset.max(*at)..end.min(at + data.len() as u64);
                    if !both.is_empty() {
                        out[within(&both, offset)].copy_from_slice(&data[within(&both, *at)]);
                    }
                }
                Held::SetLen(len) if *len < end => out[within(&((*len).max(offset)..end), offset)].fill(0),
                Held::SetLen(_) | Held::Sync => {}
            }
        }
        Ok(())
    }
}

fn failed() -> io::Error {
    io::Error::other("an earlier write of the same file failed")
}

/// A part of the file as indices of a buffer that starts at `start`.
fn within(part: &Range<u64>, start: u64) -> Range<usize> {
    let index = |at: u64| usize::try_from(at - start).expect("a part lies within a buffer");
    index(part.start)..index(part.end)
}

impl StorageBackend for Provisional {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.state() {
            State::Held(held) => self.0.held_len(held),
            State::Open => self.0.file.len(),
            State::Failed => Err(failed()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.0.state() {
            State::Held(held) => self.0.read_held(held, offset, out),
            State::Open => self.0.file.read(offset, out),
            State::Failed => Err(failed()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.write(Held::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.write(Held::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if matches!(&*self.0.state(), State::Open) {
            return self.0.file.write(offset, data);
        }
        self.0.write(Held::Write(offset, data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
