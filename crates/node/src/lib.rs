//! The node agent: Pods, their containers and their network.
//!
//! [`run`] is a whole node: it registers the Node object and keeps its Lease, sets up the Pod network when the node has a
//! range, runs the Pods that are bound to it, and keeps a tunnel to the API server open for logs and exec.
//!
//! Invariants: containers outlive the agent, which finds them again when it starts; a Pod's address is given to nobody
//! else before everything that knew it is gone; what a Pod leaves behind is removed before its object is.

mod agent;
mod backoff;
mod config;
pub mod podnet;
mod registration;
pub mod runtime;
mod service;
#[cfg(test)]
mod tests;
mod tunnel;

pub use config::{Components, Config};
pub use service::{Error, run, run_with, teardown};
