//! Sockets: packets in, answers out.

mod accept;
mod http;
mod socket;
mod tcp;
mod udp;

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
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
}

/// Binds all addresses, then serves each on tasks of its own.
pub(crate) async fn start(config: &Config, shared: &Shared, tasks: &TaskTracker) -> Result<(), Error> {
    if config.listen.is_empty() {
        return Err(Error::NoAddress);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_UDP_SOCKETS);
    let (mut udp, mut tcp, mut http) = (Vec::new(), Vec::new(), Vec::new());
    for address in &config.listen {
        let listen = |protocol| move |source| Error::Listen { address: *address, protocol, source };
        tcp.push(socket::tcp(*address).map_err(listen("TCP"))?);
        // If any port was asked for, UDP takes the one that TCP got.
        let bound = tcp.last().and_then(|one| one.local_addr().ok()).unwrap_or(*address);
        for _ in 0..cores {
            udp.push(socket::udp(bound).map_err(listen("UDP"))?);
        }
    }
    for address in &config.metrics_listen {
        let listen = |source| Error::Listen { address: *address, protocol: "TCP", source };
        http.push(socket::tcp(*address).map_err(listen)?);
    }
    udp.into_iter().enumerate().for_each(|(n, one)| drop(tasks.spawn(udp::serve(one, n, shared.clone()))));
    tcp.into_iter().for_each(|one| drop(tasks.spawn(tcp::serve(one, shared.clone()))));
    http.into_iter().for_each(|one| drop(tasks.spawn(http::serve(one, shared.clone()))));
    Ok(())
}
