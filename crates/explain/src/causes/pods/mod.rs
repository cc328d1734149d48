//! What the Pods of a Service do instead of serving.

pub(super) mod not_ready;
