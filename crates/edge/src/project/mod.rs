//! Kubernetes objects as the model sees them: pure functions, one an object.

mod node;
mod service;
mod slice;

pub use node::project_node;
pub use service::project_service;
pub use slice::{SliceView, project_slice};

use crate::Finding;
use crate::finding::Findings;
use sealane_model::Protocol;
use std::net::IpAddr;

/// A value and what was wrong with the object it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projected<T> {
    /// What the data path works on.
    pub value: T,
    /// What was mended or left out.
    pub findings: Vec<Finding>,
}

/// `protocol`; nothing means TCP.
fn protocol(findings: &mut Findings, field: &str, text: Option<&str>) -> Option<Protocol> {
    match text {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(other) => {
            findings.add(field, format!("protocol {other:?} is unknown; the port is left out"));
            None
        }
    }
}

/// `ADDRESS/LENGTH`.
fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.trim().split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some((address, length))
}
