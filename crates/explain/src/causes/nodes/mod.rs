//! The nodes beneath the Pods.

pub(super) mod not_ready;
pub(super) mod proxy_lags;
