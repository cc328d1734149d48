//! Over SPDY: for every connection the client opens two streams, one for errors and one for data, which name the port and
//! share a request id.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::spdy::{Connection, Headers, Sender, Stream};
use super::super::wire::Wire;
use super::copy::{Sink, copy};
use super::dial::Target;

/// The second stream of a pair must come within this (the kubelet's `StreamCreationTimeout`).
const PAIR_WITHIN: Duration = Duration::from_secs(30);

/// Forwards connections until the client is gone.
pub(super) async fn converse(wire: Wire, target: Target) {
    let mut connection = Connection::new(wire);
    let mut pairs = Pairs::default();
    // What is in it ends with it.
    let mut forwarded = JoinSet::new();
    while let Some(stream) = connection.accept(|headers| purpose(headers).is_some()).await {
        while forwarded.try_join_next().is_some() {}
        for late in pairs.expired() {
            forwarded.spawn(give_up(late));
        }
        if let Some((port, error, data)) = pairs.add(stream) {
            forwarded.spawn(forward(target.clone(), port, error, data));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    Data,
}

/// What a stream is for, and for which port.
fn purpose(headers: &Headers) -> Option<(Kind, u16)> {
    let kind = match headers.get("streamtype") {
        "error" => Kind::Error,
        "data" => Kind::Data,
        _ => return None,
    };
    Some((kind, headers.get("port").parse().ok().filter(|port| *port > 0)?))
}

/// What streams with the same key belong to. Clients from before there were request ids open the data stream right after the
/// one for errors, and clients number their streams by twos.
fn key(headers: &Headers, kind: Kind, stream: u32) -> String {
    match (headers.get("requestid"), kind) {
        ("", Kind::Error) => stream.to_string(),
        ("", Kind::Data) => stream.wrapping_sub(2).to_string(),
        (id, _) => id.to_owned(),
    }
}

/// Streams that wait for their second.
#[derive(Default)]
struct Pairs {
    waiting: HashMap<String, (Instant, Kind, Stream)>,
}

impl Pairs {
    /// The port, the stream for errors and the one for data when both are there.
    fn add(&mut self, stream: Stream) -> Option<(u16, Stream, Stream)> {
        let (kind, port) = purpose(&stream.headers)?;
        let key = key(&stream.headers, kind, stream.sender.stream);
        match self.waiting.remove(&key) {
            Some((_, Kind::Error, error)) if kind == Kind::Data => Some((port, error, stream)),
            Some((_, Kind::Data, data)) if kind == Kind::Error => Some((port, stream, data)),
            // A second one of its kind takes the place of the first, which nobody answers.
            _ => {
                self.waiting.insert(key, (Instant::now(), kind, stream));
                None
            }
        }
    }

    /// Those that have waited too long.
    fn expired(&mut self) -> Vec<(String, Kind, Stream)> {
        let late = self.waiting.extract_if(|_, (since, ..)| since.elapsed() > PAIR_WITHIN);
        late.map(|(key, (_, kind, stream))| (key, kind, stream)).collect()
    }
}

async fn give_up((request, kind, stream): (String, Kind, Stream)) {
    if kind == Kind::Error {
        let why = format!("(request={request}) timed out waiting for streams");
        let _ = stream.sender.data(why.as_bytes()).await;
    }
    stream.sender.reset().await;
}

async fn forward(target: Target, port: u16, error: Stream, data: Stream) {
    let Stream { data: input, sender, reset, .. } = data;
    let work = async {
        match target.dial(port).await {
            Ok(stream) => copy(stream, input, sender.clone()).await,
            Err(why) => {
                tracing::debug!(port, why, "cannot forward a connection");
                let _ = error.sender.data(why.as_bytes()).await;
                sender.finish().await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        // The client wants nothing more of it.
        () = reset.cancelled() => {}
    }
    error.sender.finish().await;
}

impl Sink for Sender {
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.data(bytes).await.is_ok()
    }

    async fn end(&mut self) {
        self.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn streams_say_what_they_are_for() {
        for (pairs, expected) in [
            (&[("streamtype", "data"), ("port", "80")][..], Some((Kind::Data, 80))),
            (&[("streamtype", "error"), ("port", "65535")], Some((Kind::Error, 65535))),
            (&[("streamtype", "data"), ("port", "0")], None),
            (&[("streamtype", "data"), ("port", "65536")], None),
            (&[("streamtype", "data"), ("port", "http")], None),
            (&[("streamtype", "data")], None),
            (&[("streamtype", "stdin"), ("port", "80")], None),
            (&[("port", "80")], None),
        ] {
            assert_eq!(purpose(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn pairs_share_a_key() {
        let named = headers(&[("requestid", "7")]);
        assert_eq!(key(&named, Kind::Error, 1), key(&named, Kind::Data, 9));
        let old = headers(&[]);
        assert_eq!(key(&old, Kind::Error, 5), key(&old, Kind::Data, 7));
        assert_ne!(key(&old, Kind::Error, 5), key(&old, Kind::Data, 9));
    }
}
