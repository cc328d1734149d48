//! A socket that asks and waits for the answer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use super::namespace;

/// The kernel answers at once; only its own lock, held by somebody else, makes it late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// More than any message of a dump has.
const RECEIVE: usize = 1 << 16;
/// A dump that a change interrupted is begun again so often.
const DUMP_TRIES: usize = 10;

/// The links and routes of one network namespace.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Of the calling thread's namespace.
    ///
    /// # Errors
    /// The system call's.
    pub fn here() -> io::Result<Self> {
        // No protocol number: routing is number 0.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; RECEIVE] })
    }

    /// Of the namespace pinned at `path`.
    ///
    /// # Errors
    /// When it cannot be entered; the system call's.
    pub fn inside(path: &Path) -> io::Result<Self> {
        namespace::run(path, Self::here)?
    }

    /// One request that the kernel acknowledges. `flags` are `NLM_F_*` beyond request and acknowledgement.
    pub(crate) fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, NLM_F_ACK | flags).map(drop)
    }

    /// One request that is answered, and what the answer is.
    pub(crate) fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_ACK)
    }

    /// Everything of a kind.
    pub(crate) fn dump(&mut self, message: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut interrupted = io::ErrorKind::Interrupted.into();
        for _ in 0..DUMP_TRIES {
            match self.ask(message.clone(), NLM_F_DUMP) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => interrupted = error,
                answered => return answered,
            }
        }
        Err(interrupted)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        send(self.fd.as_fd(), &bytes, SendFlags::empty())?;
        self.answer()
    }

    /// Reads until the acknowledgement or the end of the dump.
    fn answer(&mut self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let (mut found, mut interrupted) = (Vec::new(), false);
        loop {
            let length = recv(self.fd.as_fd(), &mut self.buffer[..], RecvFlags::empty())?.0;
            let mut rest = &self.buffer[..length];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(malformed)?;
                let taken = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
                rest = rest.get(taken..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::Done(_) if interrupted => return Err(io::ErrorKind::Interrupted.into()),
                    NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(found),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    _ => {}
                }
            }
        }
    }
}

fn malformed(error: netlink_packet_core::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
