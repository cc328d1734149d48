//! The API's objects as controllers see them: one watch a kind, one cache a kind, writes that are read back at once.
//!
//! Invariant: after a write returned, every later read of the cache sees it or something newer. So a controller that
//! reconciles one key at a time never acts on a view older than its own last action, and needs no expectations.

mod cache;
mod key;
mod kind;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use cache::{Cache, Change};
pub(crate) use key::Key;
pub(crate) use kind::{Object, Objects, Write};
pub(crate) use watch::{Sink, Source, follow};

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks; a panic elsewhere while holding the lock is no reason to stop (the data are plain maps).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
