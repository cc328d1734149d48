//! port-forward, exec over SPDY and proxied connections through the node's side of the tunnel.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2::SendRequest;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::io::{ReaderStream, StreamReader};

use super::in_own_namespaces;
use super::tunnel::{Body, tunnel};
use crate::tunnel::spdy::{BlockWriter, Frame, Headers, Reader, Status, data_frame, reset_frame, syn_stream};

/// POSTs to the node and returns the two bodies.
async fn post(
    sender: &mut SendRequest<Body>,
    path: &str,
    (carrier, protocol): (&str, &str),
) -> (u16, mpsc::Sender<Bytes>, hyper::body::Incoming) {
    let (to_node, mut outgoing) = mpsc::channel::<Bytes>(16);
    let frames = futures::stream::poll_fn(move |context| {
        outgoing.poll_recv(context).map(|bytes| bytes.map(|b| Ok(hyper::body::Frame::data(b))))
    });
    let request = http::Request::post(format!("http://node{path}"))
        .header("x-sealane-upgrade", carrier)
        .header("x-sealane-subprotocol", protocol)
        .body(StreamBody::new(frames).boxed_unsync())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    (response.status().as_u16(), to_node, response.into_body())
}

/// What came on one stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    text: String,
    ended: bool,
}

/// A client that speaks SPDY in the bodies.
struct Client {
    to_node: Option<mpsc::Sender<Bytes>>,
    from_node: hyper::body::Incoming,
    blocks: BlockWriter,
    reader: Reader,
    accepted: Vec<u32>,
    refused: Vec<u32>,
    pings: Vec<u32>,
    heard: BTreeMap<u32, Heard>,
}

impl Client {
    async fn connect(sender: &mut SendRequest<Body>, path: &str, protocol: &str) -> Self {
        let (code, to_node, from_node) = post(sender, path, ("spdy", protocol)).await;
        assert_eq!(code, 200);
        Self {
            to_node: Some(to_node),
            from_node,
            blocks: BlockWriter::default(),
            reader: Reader::default(),
            accepted: Vec::new(),
            refused: Vec::new(),
            pings: Vec::new(),
            heard: BTreeMap::new(),
        }
    }

    async fn send(&self, bytes: Bytes) {
        self.to_node.as_ref().unwrap().send(bytes).await.unwrap();
    }

    async fn open(&mut self, stream: u32, headers: &[(&str, &str)]) {
        let headers = Headers(headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        let block = self.blocks.write(&headers);
        self.send(syn_stream(stream, &block)).await;
    }

    /// Opens the two streams of a connection, as kubectl does.
    async fn forward(&mut self, error: u32, port: u16) {
        let (port, id) = (port.to_string(), error.to_string());
        self.open(error, &[("streamtype", "error"), ("port", &port), ("requestid", &id)]).await;
        self.send(data_frame(error, b"", true)).await;
        self.open(error + 2, &[("streamtype", "data"), ("port", &port), ("requestid", &id)]).await;
    }

    /// Listens until it holds, or the node has said all.
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let Some(part) = self.from_node.frame().await else { return };
            self.reader.feed(&part.unwrap().into_data().unwrap());
            while let Some(frame) = self.reader.next().unwrap() {
                match frame {
                    Frame::SynReply { stream } => self.accepted.push(stream),
                    Frame::Reset { stream } => self.refused.push(stream),
                    Frame::Ping(id) => self.pings.push(id),
                    Frame::Data { stream, bytes, fin } => {
                        let heard = self.heard.entry(stream).or_default();
                        heard.text.push_str(std::str::from_utf8(&bytes).unwrap());
                        heard.ended |= fin;
                    }
                    other => panic!("a server does not send {other:?}"),
                }
            }
        }
    }

    fn heard(&self, stream: u32) -> (&str, bool) {
        self.heard.get(&stream).map_or(("", false), |h| (&h.text, h.ended))
    }
}

/// Listens in the Pod's network namespace: it says `hello`, then back in capitals what it hears until the client ends.
fn shouter(netns: &std::path::Path) -> u16 {
    let netns = std::fs::File::open(netns).unwrap();
    let (sender, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        use std::os::fd::AsFd;
        rustix::thread::move_into_link_name_space(
            netns.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        sender.send(listener.local_addr().unwrap().port()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(b"hello ").unwrap();
                let mut buffer = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    buffer[..count].make_ascii_uppercase();
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port.recv().unwrap()
}

#[test]
fn connections_are_forwarded_side_by_side_and_a_refused_one_does_not_end_the_others() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        let network = context.network.setup("u").await.unwrap();
        let port = shouter(network.netns.as_ref().unwrap());
        let mut client = Client::connect(&mut sender, "/portForward/shop/web-1", "portforward.k8s.io").await;
        client.forward(1, port).await;
        client.forward(5, port).await;
        client.until(|c| c.heard(3).0 == "hello " && c.heard(7).0 == "hello ").await;
        assert_eq!(client.accepted, [1, 3, 5, 7]);

        client.send(data_frame(3, b"one", false)).await;
        client.until(|c| c.heard(3).0 == "hello ONE").await;
        // Nothing listens on port 1.
        client.forward(9, 1).await;
        client.until(|c| c.heard(9).1 && c.heard(11).1).await;
        let netns = network.netns.unwrap().display().to_string();
        assert_eq!(
            client.heard(9).0,
            format!(
                "error forwarding port 1 to pod web-1, uid u: failed to execute portforward in network namespace \
                 \"{netns}\": failed to connect to localhost:1 inside namespace \"u\", IPv4: dial tcp4 127.0.0.1:1: \
                 connect: connection refused IPv6 dial tcp6 [::1]:1: connect: connection refused"
            )
        );
        assert_eq!(client.heard(11), ("", true));

        // The other one goes on; its answer comes after its client has said all.
        client.send(data_frame(7, b"two", true)).await;
        client.until(|c| c.heard(7).1 && c.heard(5).1).await;
        assert_eq!((client.heard(7), client.heard(5)), (("hello TWO", true), ("", true)));
        client.send(reset_frame(3, Status::Cancel)).await;
        client.until(|c| c.heard(1).1).await;
        assert_eq!((client.heard(1), client.heard(3)), (("", true), ("hello ONE", false)));
    });
}

#[test]
fn streams_without_purpose_are_refused_and_pings_answered() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        context.network.setup("u").await.unwrap();
        let mut client = Client::connect(&mut sender, "/portForward/shop/web-1", "portforward.k8s.io").await;
        client.open(1, &[("streamtype", "data"), ("port", "0")]).await;
        client.open(3, &[("streamtype", "stdin"), ("port", "80")]).await;
        client.open(5, &[("streamtype", "data"), ("port", "80")]).await;
        client.send(Bytes::from_static(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9])).await;
        client.until(|c| !c.pings.is_empty()).await;
        assert_eq!((client.refused, client.accepted, client.pings), (vec![1, 3], vec![5], vec![9]));
    });
}

#[test]
fn port_forward_needs_a_pod_with_a_network() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        let spdy = ("spdy", "portforward.k8s.io");
        // The fake sandbox has no network namespace: it counts as one on the node's network.
        assert_eq!(post(&mut sender, "/portForward/shop/web-1", spdy).await.0, 200);
        assert_eq!(post(&mut sender, "/portForward/shop/other", spdy).await.0, 404);
        context.runtime.remove_sandbox("u").await.unwrap();
        assert_eq!(post(&mut sender, "/portForward/shop/web-1", spdy).await.0, 404);
        context.network.setup("u").await.unwrap();
        let unknown = ("websocket", "portforward.k8s.io");
        assert_eq!(post(&mut sender, "/portForward/shop/web-1", unknown).await.0, 400);
        let channels = ("websocket", "v4.channel.k8s.io");
        assert_eq!(post(&mut sender, "/portForward/shop/web-1?ports=x", channels).await.0, 400);
    });
}

/// A websocket client on the two bodies.
async fn websocket(
    to_node: mpsc::Sender<Bytes>,
    from_node: hyper::body::Incoming,
) -> WebSocketStream<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut parts = ReaderStream::new(theirs);
        while let Some(Ok(part)) = parts.next().await {
            if to_node.send(part).await.is_err() {
                return;
            }
        }
    });
    let incoming = from_node.into_data_stream().map(|part| part.map_err(std::io::Error::other)).boxed();
    let stream = tokio::io::join(StreamReader::new(incoming), ours);
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

#[test]
fn a_websocket_carries_spdy_wherever_it_is_cut() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        let network = context.network.setup("u").await.unwrap();
        let port = shouter(network.netns.as_ref().unwrap()).to_string();
        let protocol = ("websocket", "SPDY/3.1+portforward.k8s.io");
        let (_, to_node, from_node) = post(&mut sender, "/portForward/shop/web-1", protocol).await;
        let mut socket = websocket(to_node, from_node).await;
        let mut blocks = BlockWriter::default();
        let mut block = |kind: &str| {
            blocks.write(&Headers(vec![("streamtype".into(), kind.into()), ("port".into(), port.clone())]))
        };
        // Without request ids, as old clients do it.
        let (error, data) = (syn_stream(1, &block("error")), syn_stream(3, &block("data")));
        let all = [&error[..], &data, &data_frame(3, b"one", true)].concat();
        for part in all.chunks(11) {
            socket.send(Message::binary(part.to_vec())).await.unwrap();
        }
        let (mut reader, mut text, mut ended) = (Reader::default(), String::new(), false);
        while !ended {
            let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() else { continue };
            reader.feed(&bytes);
            while let Some(frame) = reader.next().unwrap() {
                if let Frame::Data { stream: 3, bytes, fin } = frame {
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                    ended = fin;
                }
            }
        }
        assert_eq!(text, "hello ONE");
        socket.close(None).await.unwrap();
    });
}

#[test]
fn a_websockets_channels_are_forwarded() {
    in_own_namespaces(async |dir| {
        let (context, _runtime, mut sender) = tunnel(&dir).await;
        let network = context.network.setup("u").await.unwrap();
        let port = shouter(network.netns.as_ref().unwrap());
        let path = format!("/portForward/shop/web-1?ports={port}&ports=1");
        let (_, to_node, from_node) = post(&mut sender, &path, ("websocket", "v4.channel.k8s.io")).await;
        let mut socket = websocket(to_node, from_node).await;
        socket.send(Message::binary(&b"\x00one"[..])).await.unwrap();
        let mut heard: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        let all = |heard: &BTreeMap<u8, Vec<u8>>| {
            heard.get(&0).is_some_and(|h| h.ends_with(b"ONE")) && heard.get(&3).is_some_and(|h| h.len() > 2)
        };
        while !all(&heard) {
            let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() else { continue };
            heard.entry(bytes[0]).or_default().extend_from_slice(&bytes[1..]);
        }
        assert_eq!(heard[&0], [&port.to_le_bytes()[..], b"hello ONE"].concat());
        assert_eq!((&heard[&1][..], &heard[&2][..]), (&port.to_le_bytes()[..], &[1, 0][..]));
        assert!(String::from_utf8_lossy(&heard[&3]).contains("connection refused"));
    });
}

#[test]
fn exec_over_spdy() {
    in_own_namespaces(async |dir| {
        let (_context, _runtime, mut sender) = tunnel(&dir).await;
        let path = "/exec/shop/web-1/web?command=exit&command=7&stdout=true&stderr=true";
        let mut client = Client::connect(&mut sender, path, "v4.channel.k8s.io").await;
        for (stream, kind) in [(1, "error"), (3, "stdout"), (5, "stderr")] {
            client.open(stream, &[("streamtype", kind)]).await;
        }
        client.until(|_| false).await;
        assert_eq!(client.accepted, [1, 3, 5]);
        assert_eq!((client.heard(3), client.heard(5)), (("exit 7", true), ("", true)));
        let (status, ended) = client.heard(1);
        let status: serde_json::Value = serde_json::from_str(status).unwrap();
        assert!(ended);
        assert_eq!(status["details"]["causes"][0]["message"], "7");
    });
}

#[test]
fn connections_are_made_from_the_nodes_network() {
    in_own_namespaces(async |dir| {
        let (_context, _runtime, mut sender) = tunnel(&dir).await;
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        let netns = std::path::Path::new("/proc/thread-self/ns/net");
        let address = SocketAddr::from(([127, 0, 0, 1], shouter(netns)));
        let (code, to_node, from_node) =
            post(&mut sender, &format!("/connect/http/{address}"), ("", "")).await;
        assert_eq!(code, 200);
        to_node.send("one".into()).await.unwrap();
        drop(to_node);
        let parts = from_node.into_data_stream().map(|part| part.map_err(std::io::Error::other)).boxed();
        let mut text = String::new();
        StreamReader::new(parts).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello ONE");

        let (code, _, body) = post(&mut sender, "/connect/http/127.0.0.1:1", ("", "")).await;
        let status = body.collect().await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
        assert_eq!(
            (code, status["message"].as_str().unwrap()),
            (502, "dial tcp 127.0.0.1:1: connect: connection refused")
        );
        assert_eq!(post(&mut sender, "/connect/http/localhost:80", ("", "")).await.0, 400);
    });
}
