//! The shim's side of its sockets: who asked for what, and what is still to be written to whom.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::super::protocol::{self, Inbox, Request, Response};
use super::log::Stream;

/// What a client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Its own next request.
    Asking,
    /// Whatever happens to any container.
    Events,
    /// The end of a container.
    Exit(String),
    /// The start of a container or command, or a command's end.
    Elsewhere,
}

/// A connected agent.
pub(super) struct Client {
    pub(super) socket: UnixStream,
    pub(super) waits: Waits,
    inbox: Inbox,
    unsent: Vec<u8>,
}

/// A client that does not read its answers is dropped at this many bytes.
const MOST_UNSENT: usize = 4 << 20;

/// All clients, by a number that is never used twice.
#[derive(Default)]
pub(super) struct Clients {
    all: BTreeMap<u64, Client>,
    next: u64,
}

impl Clients {
    pub(super) fn add(&mut self, socket: UnixStream) {
        let client =
            Client { socket, waits: Waits::Asking, inbox: Inbox::default(), unsent: protocol::preamble() };
        self.all.insert(self.next, client);
        self.flush(self.next);
        self.next += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Client)> {
        self.all.iter().map(|(id, c)| (*id, c))
    }

    pub(super) fn set_waits(&mut self, id: u64, waits: Waits) {
        if let Some(client) = self.all.get_mut(&id) {
            client.waits = waits;
        }
    }

    /// Reads once; the requests that are complete, each with the descriptors that came. A client that left is forgotten.
    pub(super) fn receive(&mut self, id: u64) -> Vec<(Request, Vec<OwnedFd>)> {
        let Some(client) = self.all.get_mut(&id) else { return Vec::new() };
        match client.inbox.receive(&client.socket) {
            Ok(n) if n > 0 => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            _ => {
                self.all.remove(&id);
                return Vec::new();
            }
        }
        let mut requests = Vec::new();
        loop {
            match client.inbox.next() {
                Ok(Some(request)) => requests.push((request, client.inbox.take_fds())),
                Ok(None) => return requests,
                Err(message) => {
                    self.send(id, &Response::failed(message), &[]);
                    self.all.remove(&id);
                    return requests;
                }
            }
        }
    }

    /// Answers a client, if it is still there. Descriptors go only with an answer that can be sent at once, which is the
    /// case for the first answer of a connection.
    pub(super) fn send(&mut self, id: u64, response: &Response, fds: &[BorrowedFd<'_>]) {
        let Some(client) = self.all.get_mut(&id) else { return };
        let bytes = protocol::frame(response);
        let sent = match client.unsent.is_empty() {
            true => protocol::send(&client.socket, &bytes, fds).unwrap_or(0),
            false => 0,
        };
        client.unsent.extend(&bytes[sent..]);
        if client.unsent.len() > MOST_UNSENT {
            self.all.remove(&id);
        }
    }

    /// Writes what was left over.
    pub(super) fn flush(&mut self, id: u64) {
        let Some(client) = self.all.get_mut(&id) else { return };
        match protocol::send(&client.socket, &client.unsent, &[]) {
            Ok(n) => drop(client.unsent.drain(..n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => drop(self.all.remove(&id)),
        }
    }

    /// Those who wait for this.
    pub(super) fn waiting(&self, waits: &Waits) -> Vec<u64> {
        self.iter().filter(|(_, c)| c.waits == *waits).map(|(id, _)| id).collect()
    }
}

impl Client {
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }
}

/// An attached reader of a container's output.
pub(super) struct Sink {
    pub(super) container: String,
    pub(super) stream: Stream,
    fd: OwnedFd,
    pending: Vec<u8>,
    /// Nothing follows: it goes when everything is written.
    pub(super) last: bool,
}

/// A reader that is this far behind is dropped, so that it never holds up the container.
const MOST_PENDING: usize = 1 << 20;

impl Sink {
    pub(super) fn new(container: String, stream: Stream, fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { container, stream, fd, pending: Vec::new(), last: false })
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds output and writes what goes; whether the sink is to be kept.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend(bytes);
        match rustix::io::write(&self.fd, &self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
        self.pending.len() <= MOST_PENDING && !(self.last && self.pending.is_empty())
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
