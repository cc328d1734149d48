//! The Service proxy: a Snapshot becomes nftables elements.
//!
//! Invariants: the ruleset's shape is constant, Services and endpoints are elements of maps; one table per family,
//! `sealane`, and nothing else is touched; a restart adopts what is there and writes only what differs; one broken
//! Service is a `Finding` and never stops the others.

pub mod apply;
mod config;
pub mod plan;
mod proxy;
mod reconcile;
mod report;

pub use config::{Config, ConfigError, DEFAULT_LOOPBACK_SOURCE};
pub use plan::Finding;
pub use proxy::{Proxy, Status};
pub use reconcile::{Error, cleanup, run, run_with};
