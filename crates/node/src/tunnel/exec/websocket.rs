//! The subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`: every message names its channel in its first byte.

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::super::{Body, wire};
use super::converse::{Channel, Client, Ends, Said};
use super::frames;

/// The client behind a websocket.
pub(super) fn client(request: Request<Incoming>) -> (Client, Response<Body>) {
    let (client, Ends { said, told }) = Client::new();
    let response = wire::websocket(request, |socket| {
        Box::pin(async move {
            let (sink, source) = socket.split();
            let (messages, outgoing) = mpsc::channel(1);
            let (incoming, heard) = mpsc::channel(1);
            let mut written = std::pin::pin!(async {
                tokio::join!(wire::write(outgoing, sink), frame(told, messages));
            });
            tokio::select! {
                // When the client is gone, what it is told goes nowhere.
                _ = async { tokio::join!(wire::read(source, incoming), listen(heard, said)) } => written.await,
                () = &mut written => {}
            }
        })
    });
    (client, response)
}

async fn frame(mut told: mpsc::Receiver<(Channel, Bytes)>, to: mpsc::Sender<Bytes>) {
    while let Some((channel, bytes)) = told.recv().await {
        if to.send(frames::output(channel, &bytes)).await.is_err() {
            return;
        }
    }
}

async fn listen(mut heard: mpsc::Receiver<Bytes>, to: mpsc::Sender<Said>) {
    while let Some(message) = heard.recv().await {
        if let Some(said) = frames::input(message)
            && to.send(said).await.is_err()
        {
            return;
        }
    }
}
