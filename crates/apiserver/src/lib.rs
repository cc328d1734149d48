//! The Kubernetes API server: the HTTP API on top of a [`Store`].
//!
//! A request passes `http` (who, what, in which form), finds its row in `kinds`, and ends in `registry`, which calls the
//! kind's `strategy` and writes one transaction. Components in the same process use [`ApiServer::client`].
//!
//! Invariants: a kind without a row in `kinds` is not served; stored objects never pass through typed structs; an object
//! and what it claims (addresses, ports) are written in one transaction.

mod allocate;
pub mod auth;
mod bootstrap;
pub mod codec;
mod discovery;
mod http;
pub mod kinds;
mod managed;
pub mod openapi;
pub mod patch;
mod proxy;
mod registry;
mod schema;
mod status;
pub mod strategy;
mod stream;
pub mod table;
mod tunnel;

pub use status::{ApiError, FieldError, FieldErrorKind};

use sealane_storage::Store;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The settings of a cluster's API.
#[derive(Debug, Clone)]
pub struct Config {
    /// `--service-cidr`: ranges of ClusterIPs as (address, prefix length); the first family is the default one.
    pub service_cidrs: Vec<(IpAddr, u8)>,
    /// `--node-port-range`.
    pub node_ports: std::ops::RangeInclusive<u16>,
    /// The address and port at which nodes and Pods reach the API; endpoint of Service `kubernetes`.
    pub advertise: SocketAddr,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// Issuer of service-account tokens: `https://kubernetes.default.svc.cluster.local`.
    pub issuer: String,
    /// PKCS#8 of the ES256 key that signs service-account tokens.
    pub token_key_pkcs8: Vec<u8>,
    /// The cluster's CA as PEM, for `kube-root-ca.crt` and client certificates.
    pub ca_pem: String,
    /// The version that `/version` reports, such as `v1.33.0`, and our own.
    pub kubernetes_version: String,
}

/// The API server of one cluster.
pub struct ApiServer {
    config: Arc<Config>,
    registry: registry::Registry,
    authenticator: auth::Authenticator,
    authorizer: auth::Authorizer,
    tunnels: tunnel::Tunnels,
    in_flight: tokio::sync::Semaphore,
    metrics: http::Metrics,
}

impl ApiServer {
    /// A server over a store. It serves at once; [`Self::bootstrap`] makes an empty store a cluster.
    #[must_use]
    pub fn new(config: Config, store: Arc<dyn Store>) -> Arc<Self> {
        let config = Arc::new(config);
        Arc::new(Self {
            authenticator: auth::Authenticator::new(&config, store.clone()),
            authorizer: auth::Authorizer::new(store.clone()),
            registry: registry::Registry { store, config: config.clone() },
            tunnels: tunnel::Tunnels::default(),
            in_flight: tokio::sync::Semaphore::new(http::IN_FLIGHT_MAX),
            metrics: http::Metrics::default(),
            config,
        })
    }
}
