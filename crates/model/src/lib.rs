//! Services and endpoints as pure data: what the proxy, the DNS and the relay of published ports work on.
//!
//! Invariants: no tokio, kube, clock, environment or I/O. A `Snapshot` is immutable; a change makes a new one that shares
//! all that did not change.

mod endpoint;
mod select;
mod service;
mod snapshot;

pub use endpoint::{Endpoint, Protocol};
pub use select::{Scope, Selected, select};
pub use service::{
    LoadBalancerIngress, ServiceKind, ServiceName, ServicePort, ServiceView, SessionAffinity, TargetPort,
    TrafficPolicy,
};
pub use snapshot::{NodeView, Snapshot};
