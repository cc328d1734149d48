//! Why DNS is not served.

use std::io;
use std::net::SocketAddr;

/// An error of [`run`](crate::run).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster domain is no domain name.
    #[error("{0:?} cannot be the cluster domain: it is not a domain name")]
    ClusterDomain(String),
    /// There is nothing to listen on.
    #[error("no address to serve DNS on was given")]
    NoAddress,
    /// There is no thread, or no such namespace, to ask upstreams from.
    #[error("preparing to ask upstream name servers")]
    Forwarding(#[source] io::Error),
    /// A thread cannot be had.
    #[error("starting a thread that serves UDP")]
    Thread(#[source] io::Error),
    /// An address cannot be had.
    #[error("listening on {address} ({protocol})")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// UDP or TCP.
        protocol: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}
