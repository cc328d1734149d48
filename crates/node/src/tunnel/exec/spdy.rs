//! SPDY/3.1 with `v4.channel.k8s.io`: a stream each for stdin, stdout, stderr, the terminal's size, and the Status at the end.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::super::spdy::{Connection, Headers, Sender, Stream};
use super::super::{Body, wire};
use super::converse::{Channel, Client, Ends, Said};
use super::{Wanted, frames};

/// A client that has not opened its streams by then will not (the kubelet's `StreamCreationTimeout`).
const STREAMS_WITHIN: Duration = Duration::from_secs(30);
/// The longest text of a terminal's size that is waited for.
const RESIZE_MAX: usize = 1024;

/// The streams of one client.
#[derive(Default)]
struct Streams {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

impl Streams {
    fn slot(&mut self, kind: &str) -> Option<&mut Option<Stream>> {
        match kind {
            "error" => Some(&mut self.error),
            "stdin" => Some(&mut self.stdin),
            "stdout" => Some(&mut self.stdout),
            "stderr" => Some(&mut self.stderr),
            "resize" => Some(&mut self.resize),
            _ => None,
        }
    }

    fn complete(&self, wanted: Wanted) -> bool {
        let there = |stream: &Option<Stream>, wanted: bool| stream.is_some() || !wanted;
        there(&self.error, true)
            && there(&self.stdin, wanted.stdin)
            && there(&self.stdout, wanted.stdout)
            && there(&self.stderr, wanted.stderr)
            && there(&self.resize, wanted.tty)
    }
}

/// The client behind SPDY.
pub(super) fn client(request: Request<Incoming>, wanted: Wanted) -> (Client, Response<Body>) {
    let (client, ends) = Client::new();
    let (wire, response) = wire::plain(request);
    tokio::spawn(async move {
        let mut connection = Connection::new(wire);
        let streams = tokio::time::timeout(STREAMS_WITHIN, collect(&mut connection, wanted)).await;
        match streams {
            Ok(Some(streams)) => converse(connection, streams, ends).await,
            Ok(None) => {}
            Err(_) => tracing::debug!("a client did not open its streams in time"),
        }
    });
    (client, response)
}

async fn collect(connection: &mut Connection, wanted: Wanted) -> Option<Streams> {
    let mut streams = Streams::default();
    let known = |headers: &Headers| Streams::default().slot(headers.get("streamtype")).is_some();
    while !streams.complete(wanted) {
        let stream = connection.accept(known).await?;
        let kind = stream.headers.get("streamtype").to_owned();
        if let Some(slot) = streams.slot(&kind) {
            *slot = Some(stream);
        }
    }
    Some(streams)
}

async fn converse(mut connection: Connection, streams: Streams, ends: Ends) {
    let Ends { said, told } = ends;
    let Streams { error, stdin, stdout, stderr, resize } = streams;
    let senders = [stdout, stderr, error].map(|stream| stream.map(|s| s.sender));
    let inputs = async {
        tokio::join!(write_to_stdin(stdin, &said), resized(resize, &said));
        // The client is there as long as its connection is.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = inputs => {}
        () = tell(told, senders) => {}
        // Further streams are of no use; this moves the data of the ones that are open.
        _ = connection.accept(|_| false) => {}
    }
}

async fn tell(mut told: mpsc::Receiver<(Channel, Bytes)>, senders: [Option<Sender>; 3]) {
    while let Some((channel, bytes)) = told.recv().await {
        if let Some(sender) = &senders[channel as usize - 1]
            && sender.data(&bytes).await.is_err()
        {
            return;
        }
    }
    for sender in senders.iter().flatten() {
        sender.finish().await;
    }
}

async fn write_to_stdin(stream: Option<Stream>, said: &mpsc::Sender<Said>) {
    let Some(mut stream) = stream else { return };
    while let Some(bytes) = stream.data.recv().await {
        if said.send(Said::Stdin(bytes)).await.is_err() {
            return;
        }
    }
    let _ = said.send(Said::CloseStdin).await;
}

/// Sizes come as lines of JSON.
async fn resized(stream: Option<Stream>, said: &mpsc::Sender<Said>) {
    let Some(mut stream) = stream else { return };
    let mut text = Vec::new();
    while let Some(bytes) = stream.data.recv().await {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if let Some(size) = frames::size(&line)
                && said.send(Said::Resize(size)).await.is_err()
            {
                return;
            }
        }
        if text.len() > RESIZE_MAX {
            return;
        }
    }
}
