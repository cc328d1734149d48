//! One address that serves one port of a Service.

use std::net::IpAddr;
use std::sync::Arc;

/// A transport protocol of a Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// An endpoint of a Service, as its EndpointSlices have it (KEP-752).
#[expect(clippy::type_complexity, reason = "a port is these three and is nowhere else")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address; the slice's `addressType` is its family.
    pub ip: IpAddr,
    /// The port of each of the slice's named ports, by `(name, protocol)`; `None` where the slice leaves it open.
    pub ports: Arc<[(Arc<str>, Protocol, Option<u16>)]>,
    /// `conditions.ready`, null read as true.
    pub ready: bool,
    /// `conditions.serving`, null read as `ready`.
    pub serving: bool,
    /// `conditions.terminating`, null read as false.
    pub terminating: bool,
    /// The node it runs on.
    pub node: Option<Arc<str>>,
    /// The zone it is in.
    pub zone: Option<Arc<str>>,
    /// `hostname`, the name under which DNS knows it.
    pub hostname: Option<Arc<str>>,
    /// The name of the Pod that `targetRef` names.
    pub pod: Option<Arc<str>>,
    /// `hints.forZones`.
    pub zone_hints: Arc<[Arc<str>]>,
}

impl Endpoint {
    /// A ready endpoint that says no more of itself than its address: no port yet.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            ports: Arc::default(),
            ready: true,
            serving: true,
            terminating: false,
            node: None,
            zone: None,
            hostname: None,
            pod: None,
            zone_hints: Arc::default(),
        }
    }
}
