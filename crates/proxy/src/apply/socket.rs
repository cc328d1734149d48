//! A netlink socket that asks and waits for the answer.

use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size_force, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use sealane_nft::wire::{Message, messages};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What the kernel may take to answer: a first load of a large cluster is below a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A whole first load in one message.
const SEND_BUFFER: usize = 256 << 20;
/// More than any message the kernel sends.
const RECEIVE: usize = 1 << 18;

/// A socket of the network namespace of the thread that opened it. Kept open: closing one waits for an RCU grace
/// period after deletions, 10 to 25 ms.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    /// True if the send buffer could be made as large as a first load.
    pub(super) large: bool,
}

impl Socket {
    /// Opens a socket of this netlink protocol; `None` is routing.
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        let large = set_socket_send_buffer_size_force(&fd, SEND_BUFFER).is_ok();
        Ok(Self { fd, sequence: 0, buffer: vec![0; RECEIVE], large })
    }

    /// The counter of sequence numbers, for those who number their messages themselves.
    pub(super) fn sequence(&mut self) -> &mut u32 {
        &mut self.sequence
    }

    /// The next sequence number.
    pub(super) fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a batch and waits until all is done. An error of any message from `first` to `last` is its error.
    pub(super) fn transact(&mut self, bytes: &[u8], first: u32, last: u32) -> io::Result<()> {
        send(&self.fd, bytes, SendFlags::empty())?;
        let mut failure = None;
        loop {
            let mut over = false;
            let len = recv(&self.fd, &mut self.buffer[..], RecvFlags::empty())?.0;
            for message in messages(&self.buffer[..len]) {
                let Some(code) = message.error() else { continue };
                let ours = message.sequence.wrapping_sub(first) <= last.wrapping_sub(first);
                if ours && code != 0 {
                    failure.get_or_insert_with(|| io::Error::from_raw_os_error(code));
                }
                over |= message.sequence == last || (message.sequence == first && code != 0);
            }
            if over {
                return failure.map_or(Ok(()), Err);
            }
        }
    }

    /// Sends one request and hands its answers to `each`, until the dump, or the acknowledgement, or, if neither is to
    /// come (`single`), the first answer ends it. An interrupted dump is an error of kind `Interrupted`.
    pub(super) fn ask(
        &mut self,
        bytes: &[u8],
        single: bool,
        mut each: impl FnMut(&Message<'_>),
    ) -> io::Result<()> {
        let sequence = self.sequence;
        send(&self.fd, bytes, SendFlags::empty())?;
        let mut interrupted = false;
        loop {
            let len = recv(&self.fd, &mut self.buffer[..], RecvFlags::empty())?.0;
            for message in messages(&self.buffer[..len]).filter(|m| m.sequence == sequence) {
                interrupted |= message.interrupted();
                if message.is_done() {
                    return if interrupted { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
                }
                match message.error() {
                    Some(0) => return Ok(()),
                    Some(code) => return Err(io::Error::from_raw_os_error(code)),
                    None => each(&message),
                }
                if single {
                    return Ok(());
                }
            }
        }
    }
}
