//! Why a Service does or does not reach its Pods: pure functions over a snapshot of a cluster, a file a cause.
//!
//! Invariants: no I/O, no clock; a healthy cluster has no finding; each trouble is told by one cause; Secrets and
//! values of environment variables are not even decoded; what could not be read is never taken for absent.

mod cause;
mod causes;
mod check;
mod finding;
mod fix;
mod kind;
pub mod objects;
mod page;
mod routes;
mod snapshot;
mod state;
mod subject;
mod summary;
mod view;
mod words;

pub use cause::{Cause, Look};
pub use causes::CAUSES;
pub use check::{Skipped, check, pod, services, skipped};
pub use finding::{Finding, Object, Severity};
pub use kind::Kind;
pub use page::page;
pub use snapshot::{Snapshot, Unread};
pub use state::State;
pub use subject::Subject;
pub use summary::{pod_summary, summary};
pub use view::{Served, View};
