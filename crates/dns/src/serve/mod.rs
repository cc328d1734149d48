//! Sockets: packets in, answers out.

mod accept;
mod batch;
mod http;
mod socket;
mod tcp;
mod udp;

use crate::answer::Elsewhere;
use crate::forward::{Forwarder, Resolved};
use crate::metrics::Metrics;
use crate::zone::Zone;
use crate::{Config, Error};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Several sockets of one address share its load; more than this gain nothing.
const MOST_UDP_SOCKETS: usize = 8;

/// What all sockets share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) zone: Arc<ArcSwap<Zone>>,
    pub(crate) forwarder: Option<Forwarder>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    /// What others say.
    async fn resolve(&self, elsewhere: &Elsewhere) -> Resolved {
        let Some(forwarder) = &self.forwarder else { return Resolved::Refused };
        match forwarder.at_hand(&elsewhere.question) {
            Some(resolved) => resolved,
            None => forwarder.resolve(&elsewhere.question).await,
        }
    }
}

/// How many threads serve UDP.
pub(crate) fn udp_threads(config: &Config) -> usize {
    config.listen.len() * sockets_an_address()
}

fn sockets_an_address() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_UDP_SOCKETS)
}

/// Binds all addresses, then serves UDP on threads and the rest on tasks of its own.
pub(crate) async fn start(config: &Config, shared: &Shared, tasks: &TaskTracker) -> Result<(), Error> {
    if config.listen.is_empty() {
        return Err(Error::NoAddress);
    }
    let (mut udp, mut tcp, mut http) = (Vec::new(), Vec::new(), Vec::new());
    for address in &config.listen {
        let listen = |protocol| move |source| Error::Listen { address: *address, protocol, source };
        tcp.push(socket::tcp(*address).map_err(listen("TCP"))?);
        // If any port was asked for, UDP takes the one that TCP got.
        let bound = tcp.last().and_then(|one| one.local_addr().ok()).unwrap_or(*address);
        for _ in 0..sockets_an_address() {
            udp.push(socket::udp(bound).map_err(listen("UDP"))?);
        }
    }
    for address in &config.metrics_listen {
        let listen = |source| Error::Listen { address: *address, protocol: "TCP", source };
        http.push(socket::tcp(*address).map_err(listen)?);
    }
    tasks.spawn(udp::serve_all(udp, shared)?);
    tcp.into_iter().for_each(|one| drop(tasks.spawn(tcp::serve(one, shared.clone()))));
    http.into_iter().for_each(|one| drop(tasks.spawn(http::serve(one, shared.clone()))));
    Ok(())
}
