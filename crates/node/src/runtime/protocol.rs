//! What agent and shim say to each other over the Pod's Unix socket.
//!
//! Each side first sends `SLSHIM` and its version (2 bytes, big endian); the lower one is spoken, so that an upgraded binary
//! meets its old shims. Then frames: a length (4 bytes, big endian) and JSON. File descriptors travel with a frame's first
//! byte. One request a connection; some requests have several answers.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::types::{AttachConfig, ContainerConfig, ContainerStatus, ExecConfig, ExitStatus, SandboxConfig};

/// The only version so far.
pub(super) const VERSION: u16 = 1;
const MAGIC: &[u8; 6] = b"SLSHIM";
/// A container's configuration with a large environment is the longest frame there is.
const LONGEST_FRAME: usize = 8 << 20;
/// Three streams at most travel with one frame.
const MOST_FDS: usize = 3;

/// From the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Request {
    /// Answer: `Sandbox`.
    Info,
    /// Answer: `Container` or `Failed`.
    Start(Box<ContainerConfig>),
    /// Answer: `Done` or `Failed`.
    Signal { container: String, signal: i32 },
    /// Answer, once it exited: `Container`.
    Stop { container: String, grace_ms: u64 },
    /// With the process' ends of its streams; answers: `Executing` (with the terminal), then `Exited`.
    Exec { container: String, config: ExecConfig },
    /// Kills a process that was started by `Exec`. Answer: `Done`.
    KillExec { pid: i32 },
    /// With the writing ends for stdout and stderr; answer: `Done` (with standard input, or the terminal).
    Attach { container: String, config: AttachConfig },
    /// Answer: `Done` or `Failed`.
    Remove { container: String },
    /// Answers: `Sandbox`, then a `Container` whenever one changes; the end of the connection is the end of the shim.
    Subscribe,
    /// Kills every container and ends the shim, which closes the connection.
    Shutdown,
}

/// From the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Response {
    Sandbox {
        config: Box<SandboxConfig>,
        containers: Vec<ContainerStatus>,
    },
    Container(Box<ContainerStatus>),
    Executing {
        pid: i32,
    },
    Exited(ExitStatus),
    Done,
    /// `reason` is empty when it is no container that failed to start.
    Failed {
        reason: String,
        message: String,
    },
}

impl Response {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { reason: String::new(), message: message.into() }
    }
}

/// What a side sends first.
pub(super) fn preamble() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_be_bytes()].concat()
}

/// A message as it goes over the socket.
pub(super) fn frame(message: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(message).expect("messages are plain data");
    let length = u32::try_from(json.len()).expect("a message is shorter than 4 GiB");
    [&length.to_be_bytes()[..], &json].concat()
}

/// Collects what arrives and cuts it into frames.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    greeted: bool,
}

impl Inbox {
    /// For a socket between a process and its own child: there is no version to tell.
    pub(super) fn greeted() -> Self {
        Self { greeted: true, ..Self::default() }
    }

    /// Reads once from a socket; 0 is its end.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        self.bytes.extend(&buffer[..got.bytes]);
        Ok(got.bytes)
    }

    /// The next whole message, if it is there.
    ///
    /// # Errors
    /// When the other side does not speak this protocol.
    pub(super) fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Result<Option<T>, String> {
        if !self.greeted {
            let Some(head) = self.bytes.get(..8) else { return Ok(None) };
            if &head[..6] != MAGIC {
                return Err("the other side is not a sealane pod shim".to_owned());
            }
            let theirs = u16::from_be_bytes([head[6], head[7]]);
            if theirs == 0 {
                return Err(format!("the other side speaks version {theirs}, this one {VERSION}"));
            }
            self.bytes.drain(..8);
            self.greeted = true;
        }
        let Some(&[a, b, c, d]) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > LONGEST_FRAME {
            return Err(format!("a message of {length} bytes is too long"));
        }
        let Some(json) = self.bytes.get(4..4 + length) else { return Ok(None) };
        let message =
            serde_json::from_slice(json).map_err(|e| format!("a message is not understood: {e}"))?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }

    /// The file descriptors that came so far.
    pub(super) fn take_fds(&mut self) -> Vec<OwnedFd> {
        self.fds.drain(..).collect()
    }
}

/// Writes what the socket takes at once, file descriptors with the first byte; returns how much that was.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_request_and_its_descriptors_arrive_in_pieces() {
        let (a, b) = UnixStream::pair().expect("pair");
        let mut wire = preamble();
        wire.extend(frame(&Request::Signal { container: "web.0".into(), signal: 15 }));
        wire.extend(frame(&Request::Info));
        let mut inbox = Inbox::default();
        for (n, piece) in wire.chunks(5).enumerate() {
            let with = [a.as_fd()];
            send(&a, piece, if n == 0 { &with } else { &[] }).expect("send");
            inbox.receive(&b).expect("receive");
            if (n + 1) * 5 < 20 {
                assert!(inbox.next::<Request>().expect("no error").is_none());
            }
        }
        assert!(matches!(inbox.next::<Request>(), Ok(Some(Request::Signal { signal: 15, .. }))));
        assert!(matches!(inbox.next::<Request>(), Ok(Some(Request::Info))));
        assert_eq!(inbox.take_fds().len(), 1);
        let mut other = Inbox { bytes: b"HTTP/1.1 400".to_vec(), ..Inbox::default() };
        assert!(other.next::<Request>().is_err());
    }
}
