//! API watches become one [`Snapshot`](sealane_model::Snapshot) a process: the only place where Kubernetes objects become
//! `model` types.
//!
//! Invariants: nothing is published before every watch has listed once, nor when nothing changed; an unchanged Service
//! keeps its `Arc`; a relist never holds two copies of the world (it marks what is still there and sweeps the rest);
//! any sequence of events leads to the snapshot that projecting the same objects from nothing would give. Bad input is
//! data: it is mended or left out with a [`Finding`], and stops nothing else.

mod backoff;
mod finding;
mod index;
mod project;
mod table;
mod watch;

pub use finding::Finding;
pub use index::{Change, Index};
pub use project::{Projected, SliceView, project_node, project_service, project_slice};
pub use watch::run;
