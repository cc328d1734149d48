//! Logs of containers: `GET /containerLogs/NAMESPACE/POD/CONTAINER`.

mod line;
mod reader;
mod watch;

pub(crate) use reader::last_lines;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, mpsc};

use self::line::Filter;
use self::reader::Reader;
use self::watch::Watch;
use super::answer::{self, Failure};
use super::{Body, query};
use crate::agent::context::Context;
use crate::agent::log_path;
use crate::runtime::{ContainerId, ContainerState, RuntimeEvent};

/// What the client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Options {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail: Option<u64>,
    limit_bytes: Option<u64>,
    since: Option<Timestamp>,
}

impl Options {
    fn parse(text: &str, now: Timestamp) -> Result<Self, Failure> {
        let pairs = query::pairs(text);
        let number = |name: &str| match query::first(&pairs, name).filter(|v| !v.is_empty()) {
            None => Ok(None),
            Some(value) => value.parse::<u64>().map(Some).map_err(|_| {
                Failure::bad_request(format!("invalid value {value:?} of {name}: must be a number ≥ 0"))
            }),
        };
        let ago = number("sinceSeconds")?.and_then(|s| i64::try_from(s).ok());
        let since_time = match query::first(&pairs, "sinceTime").filter(|v| !v.is_empty()) {
            None => None,
            Some(value) => Some(
                value
                    .parse::<Timestamp>()
                    .map_err(|e| Failure::bad_request(format!("invalid sinceTime {value:?}: {e}")))?,
            ),
        };
        Ok(Self {
            follow: query::flag(&pairs, "follow"),
            previous: query::flag(&pairs, "previous"),
            timestamps: query::flag(&pairs, "timestamps"),
            tail: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
            since: ago.and_then(|s| now.checked_sub(SignedDuration::from_secs(s)).ok()).or(since_time),
        })
    }
}

/// Answers one request for logs.
///
/// # Errors
/// When there is no such container or it has no log.
pub(super) async fn serve(
    context: &Arc<Context>,
    namespace: &str,
    pod: &str,
    container: &str,
    query: &str,
) -> Result<Response<Body>, Failure> {
    let options = Options::parse(query, Timestamp::now())?;
    let (uid, attempt) = context.directory.find(namespace, pod, container)?;
    let number = match (options.previous, attempt.number) {
        (false, Some(number)) => number,
        (true, Some(number)) if number > 0 => number - 1,
        (true, _) => {
            let text = format!("previous terminated container \"{container}\" in pod \"{pod}\" not found");
            return Err(Failure::bad_request(text));
        }
        (false, None) => {
            let why = attempt.waiting;
            let text = format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}");
            return Err(Failure::bad_request(text));
        }
    };
    let path = log_path(&context.directories(&uid).data, container, number);
    let id = ContainerId { pod_uid: uid, name: container.to_owned(), attempt: number };
    let (sender, receiver) = mpsc::channel(16);
    let context = context.clone();
    tokio::spawn(async move {
        if let Err(error) = send(&context, &id, &path, options, &sender).await {
            // The client has the status line already: the connection's end is all that can be said.
            let _ = sender.send(Err(error)).await;
        }
    });
    let parts =
        futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    Ok(answer::stream(parts))
}

async fn send(
    context: &Context,
    id: &ContainerId,
    path: &Path,
    options: Options,
    to: &mpsc::Sender<Result<Bytes, std::io::Error>>,
) -> std::io::Result<()> {
    let mut events = context.runtime.events();
    let mut watch = if options.follow { Watch::new(path).ok() } else { None };
    let mut reader = Reader::open(path, options.tail)?;
    let mut filter = Filter::new(options.timestamps, options.since, options.limit_bytes);
    loop {
        // Asked before reading: what the container wrote before it ended is read.
        let runs =
            matches!(context.runtime.status(id).await, Ok(Some(s)) if s.state != ContainerState::Exited);
        while let Some(lines) = reader.read()? {
            let text = filter.take(&lines);
            if !text.is_empty() && to.send(Ok(Bytes::from(text))).await.is_err() {
                return Ok(());
            }
            if filter.is_full() {
                return Ok(());
            }
        }
        if !options.follow || !runs {
            return Ok(());
        }
        tokio::select! {
            () = changed(&mut watch) => {}
            () = ended(&mut events, id) => {}
            () = to.closed() => return Ok(()),
        }
    }
}

/// Waits for a change of the log, a second at most if it cannot be watched.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
    }
}

/// Waits for the container's end, or for a gap in what is known.
async fn ended(events: &mut broadcast::Receiver<RuntimeEvent>, id: &ContainerId) {
    loop {
        match events.recv().await {
            Ok(RuntimeEvent::Exited(status)) if status.id == *id => return,
            Ok(RuntimeEvent::SandboxGone { pod_uid }) if pod_uid == id.pod_uid => return,
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            Ok(_) => {}
        }
    }
}

/// The directory of a log, which sees rotation too.
fn directory(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let now = Timestamp::from_second(1000).unwrap();
        let got = Options::parse("follow=true&tailLines=5&timestamps=true&sinceSeconds=10&limitBytes=7", now)
            .unwrap();
        let since = Timestamp::from_second(990).ok();
        let wanted = Options {
            follow: true,
            previous: false,
            timestamps: true,
            tail: Some(5),
            limit_bytes: Some(7),
            since,
        };
        assert_eq!(got, wanted);
        let got = Options::parse("sinceTime=1970-01-01T00:00:05Z&previous=true", now).unwrap();
        assert_eq!((got.since, got.previous), (Timestamp::from_second(5).ok(), true));
        assert!(Options::parse("tailLines=x", now).is_err() && Options::parse("sinceTime=x", now).is_err());
    }
}
