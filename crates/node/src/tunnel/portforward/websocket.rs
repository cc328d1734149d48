//! Over a websocket's channels (`v4.channel.k8s.io`), as client libraries do it: the ports are in the query, each has two
//! channels, 2n for data and 2n + 1 for errors, and one connection. The first message on every channel is the port, two bytes,
//! little-endian.

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::answer::Failure;
use super::super::{Body, wire};
use super::copy::{Sink, copy};
use super::dial::Target;

/// Channels are numbered by one byte.
const PORTS_MAX: usize = 128;

/// The ports of a query: `ports=80&ports=81` or `ports=80,81`.
///
/// # Errors
/// When there is none, or one that is no port.
pub(super) fn ports(pairs: &[(String, String)]) -> Result<Vec<u16>, Failure> {
    let texts = pairs.iter().filter(|(name, _)| name == "ports").flat_map(|(_, value)| value.split(','));
    let mut ports = Vec::new();
    for text in texts {
        let port = text.parse().ok().filter(|port| *port > 0);
        ports.push(port.ok_or_else(|| Failure::bad_request(format!("unable to parse {text:?} as a port")))?);
    }
    match ports.len() {
        0 => Err(Failure::bad_request("query parameter \"ports\" is required")),
        1..=PORTS_MAX => Ok(ports),
        _ => Err(Failure::bad_request(format!("at most {PORTS_MAX} ports can be forwarded at once"))),
    }
}

/// Forwards one connection to each port until the client is gone or all have ended.
pub(super) fn serve(request: Request<Incoming>, target: Target, ports: Vec<u16>) -> Response<Body> {
    wire::websocket(request, |socket| {
        Box::pin(async move {
            let (sink, source) = socket.split();
            let (messages, outgoing) = mpsc::channel(16);
            let (incoming, heard) = mpsc::channel(1);
            let mut inputs = Vec::new();
            let mut forwarded = JoinSet::new();
            for (channel, port) in (0..=u8::MAX).step_by(2).zip(ports) {
                let (input, data) = mpsc::channel(16);
                inputs.push(input);
                let output = Output { channel, messages: messages.clone() };
                forwarded.spawn(forward(target.clone(), port, data, output));
            }
            drop(messages);
            tokio::select! {
                // It ends when the last connection has: then there is nobody to tell anything.
                () = wire::write(outgoing, sink) => {}
                _ = async { tokio::join!(wire::read(source, incoming), distribute(heard, inputs)) } => {}
            }
        })
    })
}

async fn distribute(mut heard: mpsc::Receiver<Bytes>, inputs: Vec<mpsc::Sender<Bytes>>) {
    while let Some(mut message) = heard.recv().await {
        if message.is_empty() {
            continue;
        }
        let channel = usize::from(message.split_to(1)[0]);
        // Nothing is heard on the channels for errors.
        if let Some(input) = inputs.get(channel / 2).filter(|_| channel % 2 == 0) {
            let _ = input.send(message).await;
        }
    }
}

/// The two channels of one port.
struct Output {
    channel: u8,
    messages: mpsc::Sender<Bytes>,
}

impl Output {
    async fn say(&self, channel: u8, bytes: &[u8]) -> bool {
        self.messages.send([&[channel], bytes].concat().into()).await.is_ok()
    }
}

impl Sink for Output {
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.say(self.channel, bytes).await
    }

    async fn end(&mut self) {}
}

async fn forward(target: Target, port: u16, data: mpsc::Receiver<Bytes>, output: Output) {
    for channel in [output.channel, output.channel + 1] {
        output.say(channel, &port.to_le_bytes()).await;
    }
    match target.dial(port).await {
        Ok(stream) => copy(stream, data, output).await,
        Err(why) => {
            output.say(output.channel + 1, why.as_bytes()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_of_a_query() {
        let parse = |query: &str| super::ports(&super::super::query::pairs(query)).ok();
        assert_eq!(parse("ports=80&ports=8080"), Some(vec![80, 8080]));
        assert_eq!(parse("ports=80%2C81"), Some(vec![80, 81]));
        for bad in ["", "ports=", "ports=0", "ports=http", "port=80", &"ports=1&".repeat(129)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
