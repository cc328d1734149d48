//! Which Pods a Service is for.

pub(super) mod nothing;

mod near;
