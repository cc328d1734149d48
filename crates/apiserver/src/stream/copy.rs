//! Copying bytes between a client's connection that was upgraded and the two bodies of a request to a node.

use crate::http::Body;
use crate::http::answer::BoxError;
use crate::status::ApiError;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// The channel on which an exec's final Status comes.
const ERROR_CHANNEL: u8 = 3;

/// Copies both ways until both are done; an answer that is an error goes to the error channel
/// of a client that speaks a websocket's channels.
pub(super) async fn copy(
    upgrade: OnUpgrade,
    to_node: mpsc::Sender<Bytes>,
    answer: Result<Incoming, ApiError>,
) -> Result<(), BoxError> {
    let (reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await?));
    match answer {
        Err(error) => {
            writer.write_all(&status_frames(&error.to_status())).await?;
            writer.shutdown().await?;
        }
        Ok(body) => {
            let upstream = tokio::spawn(client_to_node(reader, to_node));
            let result = node_to_client(body, writer).await;
            // when the node has said all, nobody hears the client
            upstream.abort();
            result?;
        }
    }
    Ok(())
}

async fn client_to_node(mut reader: ReadHalf<TokioIo<Upgraded>>, to_node: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = reader.read(&mut buffer).await {
        if to_node.send(Bytes::copy_from_slice(&buffer[..n])).await.is_err() {
            return;
        }
    }
}

async fn node_to_client(
    mut body: Incoming,
    mut writer: WriteHalf<TokioIo<Upgraded>>,
) -> Result<(), BoxError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            writer.write_all(&data).await?;
            writer.flush().await?;
        }
    }
    writer.shutdown().await?;
    Ok(())
}

/// A Status on the error channel, and a close frame, as a server sends them (RFC 6455, 5.2).
fn status_frames(status: &Value) -> Vec<u8> {
    let text = status.to_string();
    let length = u16::try_from(text.len() + 1).unwrap_or(u16::MAX);
    let text = &text.as_bytes()[..usize::from(length) - 1];
    let mut out = vec![0x82];
    match u8::try_from(length) {
        Ok(short @ ..126) => out.push(short),
        _ => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.push(ERROR_CHANNEL);
    out.extend_from_slice(text);
    out.extend_from_slice(&[0x88, 2, 0x03, 0xe8]);
    out
}

/// A body of what is sent.
pub(super) fn channel_body(receiver: mpsc::Receiver<Bytes>) -> Body {
    let frames = futures::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, BoxError>(Frame::data(bytes)), receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_in_frames() {
        let frames = status_frames(&json!({"status": "Failure"}));
        assert_eq!(frames[..3], [0x82, 21, 3]);
        assert_eq!(frames[frames.len() - 4..], [0x88, 2, 3, 0xe8]);
        let long = status_frames(&json!("x".repeat(300)));
        assert_eq!(long[..5], [0x82, 126, 1, 47, 3]);
    }
}
