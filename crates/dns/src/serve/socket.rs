//! Sockets with the options that DNS wants.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use tokio::net::TcpListener;

/// Holds a burst of some thousand queries.
const RECEIVE_BUFFER: usize = 1 << 20;
const BACKLOG: i32 = 512;

/// One of several UDP sockets of an address, between which the kernel spreads clients. It blocks.
pub(super) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = made(address, SocketType::DGRAM, SocketFlags::CLOEXEC)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    bind(&socket, &address)?;
    Ok(socket.into())
}

/// A listening TCP socket.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = made(address, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn made(address: SocketAddr, kind: SocketType, flags: SocketFlags) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}
