//! exec and attach: a websocket inside the bodies of one HTTP/2 request.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt, TryStreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, Join};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_util::io::{ReaderStream, StreamReader};

use super::answer::{self, Failure};
use super::frames::{self, Input};
use super::{Body, query};
use crate::agent::context::Context;
use crate::runtime::{AttachConfig, ExecConfig, ExitStatus, Streams, TerminalSize};

/// The subprotocols that are spoken, in the header that the API server sets.
const SUBPROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const HEADER: &str = "x-sealane-subprotocol";

/// Runs a command in a container.
///
/// # Errors
/// When there is no such running container, or nothing to run.
pub(super) async fn exec(
    context: &Arc<Context>,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    check_subprotocol(&request)?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let command: Vec<String> = pairs.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    if command.is_empty() {
        return Err(Failure::bad_request("you must specify at least 1 command for the container"));
    }
    let tty = query::flag(&pairs, "tty");
    let config = ExecConfig {
        command,
        tty,
        stdin: query::flag(&pairs, "stdin"),
        stdout: query::flag(&pairs, "stdout"),
        stderr: query::flag(&pairs, "stderr") && !tty,
        ..Default::default()
    };
    let id = context.directory.running(namespace, pod, container)?;
    let runtime = context.runtime.clone();
    Ok(websocket(request, move |socket| {
        Box::pin(async move {
            let mut exec = match runtime.exec(&id, config).await {
                Ok(exec) => exec,
                Err(error) => return refuse(socket, &error.to_string()).await,
            };
            let streams = std::mem::take(&mut exec.streams);
            // A process whose client leaves is not killed, as in Kubernetes; one with a terminal gets a hang-up.
            converse(socket, streams, async { exec.wait().await.map_err(|e| e.to_string()) }).await;
        })
    }))
}

/// Connects to a running container's own streams.
///
/// # Errors
/// When there is no such running container.
pub(super) async fn attach(
    context: &Arc<Context>,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    check_subprotocol(&request)?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let config = AttachConfig {
        stdin: query::flag(&pairs, "stdin"),
        stdout: query::flag(&pairs, "stdout"),
        stderr: query::flag(&pairs, "stderr") && !query::flag(&pairs, "tty"),
    };
    let id = context.directory.running(namespace, pod, container)?;
    let runtime = context.runtime.clone();
    Ok(websocket(request, move |socket| {
        Box::pin(async move {
            match runtime.attach(&id, config).await {
                // The streams end when the container does; how it ended is in the Pod's status.
                Ok(streams) => converse(socket, streams, async { Ok(ExitStatus::default()) }).await,
                Err(error) => refuse(socket, &error.to_string()).await,
            }
        })
    }))
}

fn check_subprotocol(request: &Request<Incoming>) -> Result<(), Failure> {
    let given = request.headers().get(HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if SUBPROTOCOLS.contains(&given) {
        return Ok(());
    }
    Err(Failure::bad_request(format!("the node speaks {}, not {given:?}", SUBPROTOCOLS.join(" and "))))
}

type Incomings = StreamReader<futures::stream::BoxStream<'static, std::io::Result<Bytes>>, Bytes>;
type Socket = WebSocketStream<Join<Incomings, DuplexStream>>;

/// Answers 200 at once and hands the websocket over the two bodies to `talk`.
fn websocket<F>(request: Request<Incoming>, talk: F) -> Response<Body>
where
    F: FnOnce(Socket) -> BoxFuture<'static, ()> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let incoming: futures::stream::BoxStream<'static, _> =
        request.into_body().into_data_stream().map_err(std::io::Error::other).boxed();
    let stream = tokio::io::join(StreamReader::new(incoming), ours);
    tokio::spawn(async move {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        talk(socket).await;
    });
    answer::stream(ReaderStream::new(theirs))
}

async fn refuse(mut socket: Socket, why: &str) {
    let _ = socket.send(Message::binary(frames::exit(&Err(why.to_owned())))).await;
    let _ = socket.send(farewell()).await;
    let _ = socket.close(None).await;
}

/// Moves bytes until the process has ended and everything it wrote is sent, then says how it ended.
async fn converse(
    socket: Socket,
    mut streams: Streams,
    exited: impl Future<Output = Result<ExitStatus, String>>,
) {
    let (sink, source) = socket.split();
    let (sender, messages) = mpsc::channel::<Vec<u8>>(16);
    let writer = tokio::spawn(write_frames(messages, sink));
    // Only the terminal is in it, which needs no lock; but it is of a type that is not shared between threads.
    let resizer = std::sync::Mutex::new(streams.take_resizer());
    let resize = |size| {
        let resizer = resizer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = resizer.resize(size) {
            tracing::debug!(%error, "cannot resize a terminal");
        }
    };
    let inputs = read_frames(source, streams.stdin.take(), resize);
    let outputs = async {
        let out = copy(streams.stdout.take(), frames::STDOUT, sender.clone());
        let err = copy(streams.stderr.take(), frames::STDERR, sender.clone());
        tokio::join!(out, err);
        exited.await
    };
    tokio::select! {
        result = outputs => {
            let _ = sender.send(frames::exit(&result)).await;
        }
        // The client left. Its process gets the end of its input, and a hang-up if it has a terminal.
        () = inputs => {}
    }
    drop(sender);
    let _ = writer.await;
}

async fn write_frames(mut messages: mpsc::Receiver<Vec<u8>>, mut sink: SplitSink<Socket, Message>) {
    while let Some(message) = messages.recv().await {
        if sink.send(Message::binary(message)).await.is_err() {
            return;
        }
    }
    // Without a code, clients take the end for an accident.
    let _ = sink.send(farewell()).await;
    let _ = sink.close().await;
}

fn farewell() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

async fn copy(from: Option<Box<dyn AsyncRead + Send + Unpin>>, channel: u8, to: mpsc::Sender<Vec<u8>>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 32 * 1024];
    // A terminal whose process ended answers with an error: that is its end.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.send(frames::output(channel, &buffer[..count])).await.is_err() {
            return;
        }
    }
}

/// Returns when the client is gone.
async fn read_frames(
    mut source: SplitStream<Socket>,
    mut stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: impl Fn(TerminalSize),
) {
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return,
            _ => continue,
        };
        match frames::input(&bytes) {
            Input::Stdin(bytes) => {
                if let Some(to) = stdin.as_mut()
                    && (to.write_all(bytes).await.is_err() || to.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            Input::Resize(size) => resize(size),
            Input::CloseStdin => stdin = None,
            Input::Ignored => {}
        }
    }
}
