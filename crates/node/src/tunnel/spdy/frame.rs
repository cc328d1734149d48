//! Frames: from bytes, however they are cut, and to bytes. Without I/O; what is kept of what came is bounded.

use bytes::{Buf, Bytes, BytesMut};

use super::header::{BlockReader, HeaderError, Headers};

/// The longest control frame that is taken. A data frame is handed on as it comes and may be of any length.
const CONTROL_MAX: usize = 64 * 1024;
/// The length of every frame's head.
const HEAD: usize = 8;
/// The highest length that fits in a frame's head.
const LENGTH_MAX: usize = (1 << 24) - 1;
/// The flag of a frame after which its sender says no more on the stream.
const FIN: u8 = 1;

/// Types of control frames.
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// A frame that has been read, or a part of a data frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A stream begins.
    SynStream {
        /// Its number.
        stream: u32,
        /// Whether the client will send nothing on it.
        fin: bool,
        /// What it is for.
        headers: Headers,
    },
    /// A stream is accepted.
    SynReply {
        /// Its number.
        stream: u32,
    },
    /// Data of a stream.
    Data {
        /// Its number.
        stream: u32,
        /// Some of the frame's data.
        bytes: Bytes,
        /// Whether this is the last that will come.
        fin: bool,
    },
    /// A stream ends at once, both ways.
    Reset {
        /// Its number.
        stream: u32,
    },
    /// To be sent back as it is.
    Ping(u32),
    /// No streams will be opened any more.
    GoAway,
    /// Of a type that does not matter: settings, windows, or unknown.
    Other,
}

/// Why a connection cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not SPDY/3.
    #[error("version {0} of SPDY is not spoken")]
    Version(u16),
    /// A control frame beyond the limit.
    #[error("a control frame of {0} bytes is too long")]
    TooLong(usize),
    /// A control frame that is shorter than its type is.
    #[error("a control frame of type {0} is too short")]
    TooShort(u16),
    /// Its headers cannot be read.
    #[error(transparent)]
    Headers(#[from] HeaderError),
}

/// A data frame of which some is still to come.
struct Partial {
    stream: u32,
    left: usize,
    fin: bool,
}

/// Reads the frames of one direction of a connection. After an error it is of no more use.
pub(crate) struct Reader {
    buffer: BytesMut,
    partial: Option<Partial>,
    blocks: BlockReader,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), partial: None, blocks: BlockReader::new() }
    }
}

impl Reader {
    /// Takes bytes that came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until more is fed.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(partial) = self.partial.take() {
            return Ok(self.go_on(partial));
        }
        let Some(head) = self.buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, flags, length @ ..] = *head;
        let fin = flags & FIN != 0;
        let length = usize::try_from(u32::from_be_bytes([0, length[0], length[1], length[2]]));
        let length = length.expect("24 bits fit");
        if a & 0x80 == 0 {
            self.buffer.advance(HEAD);
            let stream = u32::from_be_bytes([a, b, c, d]);
            return Ok(self.go_on(Partial { stream, left: length, fin }));
        }
        match u16::from_be_bytes([a & 0x7f, b]) {
            3 if length <= CONTROL_MAX => {}
            3 => return Err(FrameError::TooLong(length)),
            version => return Err(FrameError::Version(version)),
        }
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let body = self.buffer.split_to(length);
        self.control(u16::from_be_bytes([c, d]), fin, &body).map(Some)
    }

    fn go_on(&mut self, partial: Partial) -> Option<Frame> {
        let Partial { stream, left, fin } = partial;
        if left > 0 && self.buffer.is_empty() {
            self.partial = Some(partial);
            return None;
        }
        let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
        let left = left - bytes.len();
        if left > 0 {
            self.partial = Some(Partial { stream, left, fin });
        }
        Some(Frame::Data { stream, bytes, fin: fin && left == 0 })
    }

    fn control(&mut self, kind: u16, fin: bool, body: &[u8]) -> Result<Frame, FrameError> {
        let number = |at: usize| {
            let bytes = body.get(at..).and_then(<[u8]>::first_chunk::<4>);
            bytes.map(|b| u32::from_be_bytes(*b)).ok_or(FrameError::TooShort(kind))
        };
        let stream = number(0).map(|n| n & 0x7fff_ffff);
        // Every block is inflated, also those that say nothing, because the next one refers back to it.
        let mut headers = |at: usize| -> Result<Headers, FrameError> {
            Ok(self.blocks.read(body.get(at..).ok_or(FrameError::TooShort(kind))?)?)
        };
        Ok(match kind {
            SYN_STREAM => Frame::SynStream { stream: stream?, fin, headers: headers(10)? },
            SYN_REPLY => {
                headers(4)?;
                Frame::SynReply { stream: stream? }
            }
            HEADERS => {
                headers(4)?;
                if fin { Frame::Data { stream: stream?, bytes: Bytes::new(), fin } } else { Frame::Other }
            }
            RST_STREAM => Frame::Reset { stream: stream? },
            PING => Frame::Ping(number(0)?),
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }
}

fn control(kind: u16, numbers: &[u32], rest: &[u8]) -> Bytes {
    let length = u32::try_from(numbers.len() * 4 + rest.len()).expect("our control frames are short");
    let mut out = Vec::with_capacity(HEAD + numbers.len() * 4 + rest.len());
    out.extend_from_slice(&[0x80, 3]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(rest);
    out.into()
}

/// A client's SYN_STREAM.
#[cfg(test)]
pub(crate) fn syn_stream(stream: u32, block: &[u8]) -> Bytes {
    control(SYN_STREAM, &[stream, 0], &[&[0, 0], block].concat())
}

/// SYN_REPLY with a header block.
pub(super) fn syn_reply(stream: u32, block: &[u8]) -> Bytes {
    control(SYN_REPLY, &[stream], block)
}

/// Data of a stream, at most 16 MiB; with `fin` the last.
pub(crate) fn data(stream: u32, bytes: &[u8], fin: bool) -> Bytes {
    debug_assert!(bytes.len() <= LENGTH_MAX, "the length has 24 bits");
    let length = u32::try_from(bytes.len()).expect("the length has 24 bits");
    let mut out = Vec::with_capacity(HEAD + bytes.len());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&(length | u32::from(fin) << 24).to_be_bytes());
    out.extend_from_slice(bytes);
    out.into()
}

/// Why a stream is reset.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Status {
    /// It was not taken.
    Refused = 3,
    /// It is over.
    Cancel = 5,
}

/// RST_STREAM.
pub(crate) fn reset(stream: u32, status: Status) -> Bytes {
    control(RST_STREAM, &[stream, status as u32], &[])
}

/// The answer to a ping.
pub(super) fn ping(id: u32) -> Bytes {
    control(PING, &[id], &[])
}

#[cfg(test)]
mod tests;
