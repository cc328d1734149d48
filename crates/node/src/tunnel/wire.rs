//! A two-way connection inside the two bodies of one HTTP/2 request: bytes, a websocket, or bytes in a websocket's messages.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt, TryStreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{DuplexStream, Join};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Body, answer};

/// How many pieces may wait to be sent.
const QUEUE: usize = 16;

/// Bytes both ways. The connection ends when every clone of `output` is dropped.
pub(super) struct Wire {
    pub(super) input: BoxStream<'static, std::io::Result<Bytes>>,
    pub(super) output: mpsc::Sender<Bytes>,
}

/// A websocket in two bodies.
pub(super) type Socket = WebSocketStream<Bodies>;
/// Two bodies as one stream of bytes.
pub(super) type Bodies = Join<StreamReader<BoxStream<'static, std::io::Result<Bytes>>, Bytes>, DuplexStream>;

fn input(request: Request<Incoming>) -> BoxStream<'static, std::io::Result<Bytes>> {
    request.into_body().into_data_stream().map_err(std::io::Error::other).boxed()
}

/// Answers 200 at once; the wire is the bodies.
pub(super) fn plain(request: Request<Incoming>) -> (Wire, Response<Body>) {
    let (output, mut outgoing) = mpsc::channel::<Bytes>(QUEUE);
    let response = answer::stream(futures::stream::poll_fn(move |context| {
        outgoing.poll_recv(context).map(|bytes| bytes.map(Ok))
    }));
    (Wire { input: input(request), output }, response)
}

/// Answers 200 at once; the wire is what the binary messages of a websocket carry, wherever they are cut.
pub(super) fn in_websocket(request: Request<Incoming>) -> (Wire, Response<Body>) {
    let (incoming, input) = mpsc::channel(QUEUE);
    let (output, outgoing) = mpsc::channel(QUEUE);
    let response = websocket(request, |socket| {
        Box::pin(async move {
            let (sink, source) = socket.split();
            let mut written = std::pin::pin!(write(outgoing, sink));
            tokio::select! {
                () = read(source, incoming) => written.await,
                () = &mut written => {}
            }
        })
    });
    let input = futures::stream::unfold(input, |mut input| async { input.recv().await.map(|b| (b, input)) });
    (Wire { input: input.map(Ok).boxed(), output }, response)
}

/// Answers 200 at once and hands the bodies, as one stream of bytes, to `talk`.
pub(super) fn bodies<F>(request: Request<Incoming>, talk: F) -> Response<Body>
where
    F: FnOnce(Bodies) -> BoxFuture<'static, ()> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(talk(tokio::io::join(StreamReader::new(input(request)), ours)));
    answer::stream(ReaderStream::new(theirs))
}

/// Answers 200 at once and hands the websocket over the two bodies to `talk`.
pub(super) fn websocket<F>(request: Request<Incoming>, talk: F) -> Response<Body>
where
    F: FnOnce(Socket) -> BoxFuture<'static, ()> + Send + 'static,
{
    bodies(request, |stream| {
        Box::pin(
            async move { talk(WebSocketStream::from_raw_socket(stream, Role::Server, None).await).await },
        )
    })
}

/// Moves binary messages until the client is gone.
pub(super) async fn read(mut source: SplitStream<Socket>, to: mpsc::Sender<Bytes>) {
    while let Some(Ok(message)) = source.next().await {
        let gone = match message {
            Message::Binary(bytes) => to.send(bytes).await.is_err(),
            Message::Close(_) => true,
            _ => false,
        };
        if gone {
            return;
        }
    }
}

/// Sends binary messages until there will be no more, then takes leave.
pub(super) async fn write(mut messages: mpsc::Receiver<Bytes>, mut sink: SplitSink<Socket, Message>) {
    while let Some(message) = messages.recv().await {
        if sink.send(Message::Binary(message)).await.is_err() {
            return;
        }
    }
    // Without a code, clients take the end for an accident.
    let leave = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = sink.send(Message::Close(Some(leave))).await;
    let _ = sink.close().await;
}
