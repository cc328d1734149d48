//! Many datagrams in one system call, received and sent: `recvmmsg(2)` and `sendmmsg(2)`.
#![allow(unsafe_code, reason = "these two system calls have no safe wrapper")]
#![allow(clippy::cast_possible_truncation, reason = "sizes and counts of a batch")]

use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// So many datagrams at once.
const MOST: usize = 32;
/// Queries are small; a longer datagram is cut off here and then malformed.
const LONGEST_QUERY: usize = 4_096;
const ADDRESS: u32 = size_of::<libc::sockaddr_storage>() as u32;

/// Room for datagrams, their senders and the answers to them.
///
/// What the kernel is told of lies in boxes and vectors that are never moved or resized while it looks; the pointers to
/// it are made anew before each call.
pub(super) struct Batch {
    packets: Vec<u8>,
    clients: Vec<libc::sockaddr_storage>,
    answers: Vec<Vec<u8>>,
    received: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    sent: Vec<libc::mmsghdr>,
    count: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all three are plain data for which zeros are valid.
        let (client, header, part) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            packets: vec![0; MOST * LONGEST_QUERY],
            clients: vec![client; MOST],
            answers: vec![Vec::new(); MOST],
            received: vec![header; MOST],
            parts: vec![part; MOST],
            sent: vec![header; MOST],
            count: MOST,
        }
    }

    /// Waits for a datagram and takes all that have come, up to a batch; returns how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // Only those that were used last need to be prepared again.
        for index in 0..self.count {
            self.parts[index] = libc::iovec {
                iov_base: self.packets[index * LONGEST_QUERY..].as_mut_ptr().cast(),
                iov_len: LONGEST_QUERY,
            };
            let header = &mut self.received[index].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.clients[index]).cast();
            header.msg_namelen = ADDRESS;
            header.msg_iov = ptr::from_mut(&mut self.parts[index]);
            header.msg_iovlen = 1;
        }
        self.count = 0;
        // SAFETY: every header points to room of its own that `self` owns and does not touch during the call.
        let count = unsafe {
            let headers = self.received.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), headers, MOST as u32, libc::MSG_WAITFORONE, ptr::null_mut())
        };
        self.count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.count)
    }

    /// A datagram that was received, and the answer to it, which is sent unless it is empty.
    pub(super) fn exchange(&mut self, index: usize) -> (&[u8], &mut Vec<u8>) {
        let length = (self.received[index].msg_len as usize).min(LONGEST_QUERY);
        let start = index * LONGEST_QUERY;
        (&self.packets[start..start + length], &mut self.answers[index])
    }

    /// Who sent a datagram.
    pub(super) fn client(&self, index: usize) -> io::Result<SocketAddr> {
        let client = ptr::from_ref(&self.clients[index]);
        match i32::from(self.clients[index].ss_family) {
            libc::AF_INET => {
                // SAFETY: the storage is large enough for any address, aligned for it, and of this family.
                let address = unsafe { client.cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                Ok((ip, u16::from_be(address.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let address = unsafe { client.cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                let port = u16::from_be(address.sin6_port);
                Ok(SocketAddrV6::new(ip, port, address.sin6_flowinfo, address.sin6_scope_id).into())
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends the answers of this batch. One that cannot be sent is lost, as on the network; the client asks again.
    pub(super) fn send(&mut self, socket: &UdpSocket) {
        let mut count = 0;
        for (index, answer) in self.answers.iter_mut().enumerate().take(self.count) {
            if answer.is_empty() {
                continue;
            }
            self.parts[count] = libc::iovec { iov_base: answer.as_mut_ptr().cast(), iov_len: answer.len() };
            let header = &mut self.sent[count].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.clients[index]).cast();
            header.msg_namelen = self.received[index].msg_hdr.msg_namelen;
            header.msg_iov = ptr::from_mut(&mut self.parts[count]);
            header.msg_iovlen = 1;
            count += 1;
        }
        let mut first = 0;
        while first < count {
            // SAFETY: as in `receive`; the headers from `first` to `count` were just made.
            let sent = unsafe {
                let headers = self.sent[first..].as_mut_ptr();
                libc::sendmmsg(socket.as_raw_fd(), headers, (count - first) as u32, 0)
            };
            match usize::try_from(sent) {
                Ok(sent) => first += sent.max(1),
                Err(_) => {
                    tracing::debug!(error = %io::Error::last_os_error(), "an answer could not be sent");
                    first += 1;
                }
            }
        }
    }
}
