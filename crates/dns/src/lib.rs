//! Cluster DNS: the latest [`Snapshot`] becomes answers to the queries of Pods (Kubernetes DNS specification 1.1.0).
//!
//! A [`Zone`](zone::Zone) is the snapshot in DNS' terms; [`answer`](answer::answer) is a pure function from it and a
//! packet to a packet; `forward` asks others for names outside the cluster; `serve` moves packets.
//!
//! Invariants: answers to the name of a Service are bytes made when the Service changed, not when it is asked for; before
//! the first complete snapshot no name of the cluster is denied (SERVFAIL instead); no packet, however malformed, makes
//! anything but an answer or silence.

pub mod answer;
mod config;
mod error;
mod forward;
mod metrics;
mod serve;
pub mod wire;
pub mod zone;

pub use config::{Config, Pods};
pub use error::Error;
pub use forward::{Forwarding, Patience};

use arc_swap::ArcSwap;
use forward::Forwarder;
use metrics::Metrics;
use sealane_model::Snapshot;
use serve::Shared;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zone::{Options, Zone};

/// Serves DNS on `config.listen` from the latest of `snapshots` until `shutdown`, or until it is dropped: its threads end
/// with it.
///
/// # Errors
/// An option that makes no sense, or an address that cannot be bound; nothing is served then. Once this has begun to
/// serve it does not fail.
pub async fn run(
    config: Config,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let shutdown = shutdown.child_token();
    let _threads = shutdown.clone().drop_guard();
    let options = Options::new(&config)?;
    let zone = Arc::new(ArcSwap::from_pointee(Zone::new(Arc::new(options), serial())));
    let forwarder = Forwarder::start(&config, &shutdown)?;
    let metrics = Arc::new(Metrics::new(serve::udp_threads(&config) + 1));
    let shared = Shared { zone: zone.clone(), forwarder, metrics, shutdown: shutdown.clone() };
    let tasks = TaskTracker::new();
    serve::start(&config, &shared, &tasks).await?;
    tracing::info!(listen = ?config.listen, domain = config.cluster_domain, "serving DNS");
    follow(&zone, snapshots, &shutdown).await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Keeps the zone equal to the latest snapshot.
async fn follow(
    zone: &ArcSwap<Zone>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    shutdown: &CancellationToken,
) {
    let mut shown = Arc::<Snapshot>::default();
    loop {
        let latest = snapshots.borrow_and_update().clone();
        if latest.complete && !Arc::ptr_eq(&latest, &shown) {
            zone.store(Arc::new(zone.load().update(&shown, &latest, serial())));
            shown = latest;
        }
        let changed = tokio::select! {
            () = shutdown.cancelled() => return,
            changed = snapshots.changed() => changed,
        };
        if changed.is_err() {
            // No one publishes any more; what is known stays true until told otherwise.
            return shutdown.cancelled().await;
        }
    }
}

/// The zone's serial number: seconds since 1970, modulo 2^32 (RFC 1982 arithmetic allows the wrap).
fn serial() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default()
}
