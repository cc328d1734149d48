//! Carries changes to a kernel. Knows no policy: what to change is decided.

mod chains;
mod conntrack;
mod fake;
mod kernel;
mod loopback;
mod socket;

pub use chains::forward_chains_that_drop;
pub use fake::{FakeKernel, FakeState};
pub use kernel::Kernel;

use crate::plan::StaleFlow;
use sealane_nft::{ApplyError, Change, Table};
use std::io;

/// Why a kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFailure {
    /// No answer, or no socket.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A change that the kernel refused; nothing of its transaction was done.
    #[error("the kernel refused a change of table {}: {source}", crate::plan::TABLE)]
    Refused {
        /// Its errno.
        #[source]
        source: io::Error,
    },
    /// The same, of the fake kernel.
    #[error("the fake kernel refused a change: {0}")]
    Fake(#[from] ApplyError),
}

impl ApplyFailure {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// A kernel: one table of ours, and conntrack.
pub trait Backend: Send + 'static {
    /// What the kernel holds of our table.
    ///
    /// # Errors
    /// It did not answer.
    fn read(&mut self) -> Result<Option<Table>, ApplyFailure>;

    /// Makes the changes in one transaction.
    ///
    /// # Errors
    /// It did not answer, or refused; then nothing is changed.
    fn write(&mut self, changes: &[Change]) -> Result<(), ApplyFailure>;

    /// Removes conntrack entries.
    ///
    /// # Errors
    /// It did not answer, or refused.
    fn forget(&mut self, stale: &[StaleFlow]) -> Result<(), ApplyFailure>;

    /// True if anybody but us has changed a ruleset since the last `read`.
    ///
    /// # Errors
    /// It did not answer.
    fn changed_by_others(&mut self) -> Result<bool, ApplyFailure>;
}
