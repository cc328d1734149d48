//! A kernel in memory, as strict as the real one about what is there and what is not.

use super::{ApplyFailure, Backend};
use crate::plan::{StaleFlow, TABLE};
use sealane_nft::{Change, Family, Table, apply};
use std::sync::{Arc, Mutex, PoisonError};

/// What a fake kernel holds, and what it was asked.
#[derive(Debug, Default, Clone)]
pub struct FakeState {
    /// Our table.
    pub table: Option<Table>,
    /// Transactions.
    pub transactions: Vec<Vec<Change>>,
    /// Conntrack entries that were to be removed.
    pub forgotten: Vec<StaleFlow>,
    /// So many writes are refused from now on.
    pub refuse: usize,
    /// Somebody else changed a ruleset.
    pub touched: bool,
}

/// A handle on a fake kernel; clones are the same kernel.
#[derive(Debug, Default, Clone)]
pub struct FakeKernel(Arc<Mutex<FakeState>>);

impl FakeKernel {
    /// Looks at it, or changes it behind the proxy's back.
    pub fn with<T>(&self, look: impl FnOnce(&mut FakeState) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend for FakeKernel {
    fn read(&mut self) -> Result<Option<Table>, ApplyFailure> {
        Ok(self.with(|state| {
            state.touched = false;
            state.table.clone()
        }))
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), ApplyFailure> {
        self.with(|state| {
            if state.refuse > 0 {
                state.refuse -= 1;
                let source = std::io::Error::from_raw_os_error(16);
                return Err(ApplyFailure::Refused { source });
            }
            let mut table = state.table.clone();
            for change in changes {
                apply(&mut table, (Family::Ip, TABLE), change)?;
            }
            state.table = table;
            state.transactions.push(changes.to_vec());
            Ok(())
        })
    }

    fn forget(&mut self, stale: &[StaleFlow]) -> Result<(), ApplyFailure> {
        self.with(|state| state.forgotten.extend(stale));
        Ok(())
    }

    fn changed_by_others(&mut self) -> Result<bool, ApplyFailure> {
        Ok(self.with(|state| state.touched))
    }
}
