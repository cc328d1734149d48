//! Which Pods a Service is for.

pub(super) mod none;
pub(super) mod nothing;
pub(super) mod stale_slices;
pub(super) mod two_applications;

mod near;
