//! The server's side of a connection: streams that the client opened, each with a queue of its own.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::wire::Wire;
use super::frame::{self, Frame, Reader, Status};
use super::header::{BlockWriter, Headers};

/// The streams that a client may have open at a time; what is beyond is refused.
const STREAMS_MAX: usize = 2000;
/// The pieces of data that wait for the reader of a stream before the whole connection does.
const QUEUE: usize = 16;

/// A connection. Dropping it ends what its streams receive; what they send goes out as long as they live.
pub(crate) struct Connection {
    wire: Wire,
    reader: Reader,
    replies: BlockWriter,
    streams: HashMap<u32, Incoming>,
}

/// What the connection keeps of a stream while somebody here holds it.
struct Incoming {
    /// Until the client has said that it sends no more.
    data: Option<mpsc::Sender<Bytes>>,
    reset: CancellationToken,
    held: Weak<()>,
}

/// A stream that the client has opened.
pub(crate) struct Stream {
    pub(crate) headers: Headers,
    /// What comes; it ends when the client will send no more.
    pub(crate) data: mpsc::Receiver<Bytes>,
    /// The client wants nothing more of it, either way.
    pub(crate) reset: CancellationToken,
    pub(crate) sender: Sender,
}

/// Sends on one stream.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) stream: u32,
    output: mpsc::Sender<Bytes>,
    _hold: Arc<()>,
}

/// The client is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Sender {
    /// Sends data.
    pub(crate) async fn data(&self, bytes: &[u8]) -> Result<(), Gone> {
        self.output.send(frame::data(self.stream, bytes, false)).await.map_err(|_| Gone)
    }

    /// Says that no more will come.
    pub(crate) async fn finish(&self) {
        let _ = self.output.send(frame::data(self.stream, &[], true)).await;
    }

    /// Ends the stream both ways.
    pub(crate) async fn reset(&self) {
        let _ = self.output.send(frame::reset(self.stream, Status::Cancel)).await;
    }
}

impl Connection {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, reader: Reader::default(), replies: BlockWriter::default(), streams: HashMap::new() }
    }

    /// Reads until the client opens a stream whose headers are `wanted`; `None` when it is gone. Others are refused. The data
    /// of open streams moves only while this runs.
    pub(crate) async fn accept(&mut self, wanted: impl Fn(&Headers) -> bool) -> Option<Stream> {
        loop {
            match self.reader.next() {
                Ok(Some(Frame::SynStream { stream, fin, headers })) => {
                    self.streams.retain(|_, s| s.held.strong_count() > 0);
                    let room = self.streams.len() < STREAMS_MAX && !self.streams.contains_key(&stream);
                    if room && wanted(&headers) {
                        return self.open(stream, fin, headers).await;
                    }
                    self.wire.output.send(frame::reset(stream, Status::Refused)).await.ok()?;
                }
                Ok(Some(frame)) => self.take(frame).await?,
                Ok(None) => match self.wire.input.next().await? {
                    Ok(bytes) => self.reader.feed(&bytes),
                    Err(error) => {
                        tracing::debug!(%error, "a SPDY connection broke");
                        return None;
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "a client does not speak SPDY as it should");
                    return None;
                }
            }
        }
    }

    async fn open(&mut self, number: u32, fin: bool, headers: Headers) -> Option<Stream> {
        let reply = frame::syn_reply(number, &self.replies.write(&Headers::default()));
        self.wire.output.send(reply).await.ok()?;
        let (sender, data) = mpsc::channel(QUEUE);
        let (reset, hold) = (CancellationToken::new(), Arc::new(()));
        let held = Arc::downgrade(&hold);
        self.streams.insert(number, Incoming { data: (!fin).then_some(sender), reset: reset.clone(), held });
        let sender = Sender { stream: number, output: self.wire.output.clone(), _hold: hold };
        Some(Stream { headers, data, reset, sender })
    }

    /// `None` when the client is gone.
    async fn take(&mut self, frame: Frame) -> Option<()> {
        match frame {
            Frame::Data { stream, bytes, fin } => {
                // A stream that nobody reads any more, or that never was, loses its data.
                let Some(incoming) = self.streams.get_mut(&stream) else { return Some(()) };
                if let Some(queue) = incoming.data.as_ref().filter(|_| !bytes.is_empty()) {
                    let _ = queue.send(bytes).await;
                }
                if fin {
                    incoming.data = None;
                }
            }
            Frame::Reset { stream } => {
                if let Some(incoming) = self.streams.remove(&stream) {
                    incoming.reset.cancel();
                }
            }
            // Clients' numbers are odd; an even one would be an answer to a ping of ours.
            Frame::Ping(id) if id % 2 == 1 => self.wire.output.send(frame::ping(id)).await.ok()?,
            _ => {}
        }
        Some(())
    }
}
