//! The listening sockets of the host: opened and closed as the plan says.

use super::plan::{Published, Transport};
use super::{tcp, udp};
use crate::wire::Residence;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Every open port with its relay. Dropping an entry closes the port; connections that stand go on.
pub(super) struct Listeners {
    address: IpAddr,
    residence: Residence,
    open: BTreeMap<(Transport, u16), Open>,
}

struct Open {
    target: watch::Sender<Published>,
    _close: DropGuard,
}

/// A port that could not be opened, and why.
pub(super) struct Taken {
    pub(super) published: Published,
    pub(super) error: io::Error,
}

impl Listeners {
    pub(super) fn new(address: IpAddr, residence: Residence) -> Self {
        Self { address, residence, open: BTreeMap::new() }
    }

    /// Opens what is missing, closes what is not wanted, and points the rest at its nodes. Says what could not be opened.
    pub(super) fn apply(&mut self, wanted: &[Published]) -> Vec<Taken> {
        let keys: std::collections::BTreeSet<_> = wanted.iter().map(|p| (p.transport, p.port)).collect();
        self.open.retain(|key, _| keys.contains(key));
        let mut taken = Vec::new();
        for published in wanted {
            let key = (published.transport, published.port);
            if let Some(open) = self.open.get(&key) {
                open.target.send_if_modified(|target| {
                    let changed = target != published;
                    target.clone_from(published);
                    changed
                });
                continue;
            }
            match self.listen(published) {
                Ok(open) => drop(self.open.insert(key, open)),
                Err(error) => taken.push(Taken { published: published.clone(), error }),
            }
        }
        taken
    }

    fn listen(&self, published: &Published) -> io::Result<Open> {
        let address = (self.address, published.port);
        let (target, targets) = watch::channel(published.clone());
        let close = CancellationToken::new();
        match published.transport {
            Transport::Tcp => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(tcp::relay(listener, self.residence.clone(), targets, close.clone()));
            }
            Transport::Udp => {
                let socket = std::net::UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                tokio::spawn(udp::relay(socket, self.residence.clone(), targets, close.clone()));
            }
        }
        tracing::info!(port = published.port, service = published.service, "published");
        Ok(Open { target, _close: close.drop_guard() })
    }
}
