//! What is wrong with one Service. Others are not affected.

use sealane_model::ServiceName;

/// A problem of one Service, as an Event would say it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The Service.
    pub service: ServiceName,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// What was found, and what follows from it.
    pub message: String,
}
