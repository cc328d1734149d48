//! Dialling a port of a Pod. A socket belongs to the network namespace of the thread that made it, for good; so a thread of
//! its own enters the Pod's, makes the socket and ends, and the socket is used from here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpSocket, TcpStream};

use super::super::connect::why;

/// A Pod.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Its name.
    pub(super) pod: String,
    /// Its uid.
    pub(super) uid: String,
    /// Its pinned network namespace; none if it is on the node's.
    pub(super) netns: Option<PathBuf>,
}

impl Target {
    /// Connects to the port on the loopback interface of the Pod, by IPv4, then by IPv6.
    ///
    /// # Errors
    /// The text that Kubernetes shows.
    pub(super) async fn dial(&self, port: u16) -> Result<TcpStream, String> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let first = match self.attempt(v4).await {
            Ok(stream) => return Ok(stream),
            Err(error) => why(&error),
        };
        let second = match self.attempt(v6).await {
            Ok(stream) => return Ok(stream),
            Err(error) => why(&error),
        };
        let Self { pod, uid, netns } = self;
        let netns = netns.as_ref().map_or_else(|| "host".to_owned(), |p| p.display().to_string());
        Err(format!(
            "error forwarding port {port} to pod {pod}, uid {uid}: failed to execute portforward in network \
             namespace {netns:?}: failed to connect to localhost:{port} inside namespace {uid:?}, \
             IPv4: dial tcp4 {v4}: {first} IPv6 dial tcp6 {v6}: {second}"
        ))
    }

    async fn attempt(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = match self.netns.clone() {
            None => socket(family)?,
            Some(netns) => {
                let (sender, made) = tokio::sync::oneshot::channel();
                std::thread::Builder::new().name("port-forward".into()).spawn(move || {
                    // Nobody waits any more if the client has left.
                    let _ = sender.send(socket_in(&netns, family));
                })?;
                made.await.map_err(std::io::Error::other)??
            }
        };
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn socket_in(netns: &Path, family: AddressFamily) -> std::io::Result<TcpSocket> {
    let namespace = std::fs::File::open(netns)?;
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?;
    socket(family)
}

fn socket(family: AddressFamily) -> std::io::Result<TcpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    Ok(TcpSocket::from_std_stream(std::net::TcpStream::from(socket)))
}
