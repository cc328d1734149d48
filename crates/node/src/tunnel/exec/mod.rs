//! exec and attach: the streams of a process, over a websocket's channels or SPDY's streams.

mod converse;
mod frames;
mod spdy;
mod websocket;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use self::converse::Client;
use super::answer::Failure;
use super::{Body, protocol, query};
use crate::agent::context::Context;
use crate::runtime::{AttachConfig, ExecConfig, ExitStatus};

/// Which streams a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    /// A terminal mixes the errors into the output.
    fn of(pairs: &[(String, String)]) -> Self {
        let tty = query::flag(pairs, "tty");
        Self {
            stdin: query::flag(pairs, "stdin"),
            stdout: query::flag(pairs, "stdout"),
            stderr: query::flag(pairs, "stderr") && !tty,
            tty,
        }
    }
}

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
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let command: Vec<String> = pairs.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    if command.is_empty() {
        return Err(Failure::bad_request("you must specify at least 1 command for the container"));
    }
    let wanted = Wanted::of(&pairs);
    let Wanted { stdin, stdout, stderr, tty } = wanted;
    let config = ExecConfig { command, tty, stdin, stdout, stderr, ..Default::default() };
    let id = context.directory.running(namespace, pod, container)?;
    let (client, response) = client(request, wanted)?;
    let runtime = context.runtime.clone();
    tokio::spawn(async move {
        let mut exec = match runtime.exec(&id, config).await {
            Ok(exec) => exec,
            Err(error) => return converse::refuse(client, error.to_string()).await,
        };
        let streams = std::mem::take(&mut exec.streams);
        // A process whose client leaves is not killed, as in Kubernetes; one with a terminal gets a hang-up.
        converse::converse(client, streams, async { exec.wait().await.map_err(|e| e.to_string()) }).await;
    });
    Ok(response)
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
    let wanted = Wanted::of(&query::pairs(request.uri().query().unwrap_or_default()));
    let config = AttachConfig { stdin: wanted.stdin, stdout: wanted.stdout, stderr: wanted.stderr };
    let id = context.directory.running(namespace, pod, container)?;
    let (client, response) = client(request, wanted)?;
    let runtime = context.runtime.clone();
    tokio::spawn(async move {
        match runtime.attach(&id, config).await {
            // The streams end when the container does; how it ended is in the Pod's status.
            Ok(streams) => {
                converse::converse(client, streams, async { Ok(ExitStatus::default()) }).await;
            }
            Err(error) => converse::refuse(client, error.to_string()).await,
        }
    });
    Ok(response)
}

/// The client, in the protocol that it speaks.
fn client(request: Request<Incoming>, wanted: Wanted) -> Result<(Client, Response<Body>), Failure> {
    match protocol(&request) {
        ("websocket", "v4.channel.k8s.io" | "v5.channel.k8s.io") => Ok(websocket::client(request)),
        ("spdy", "v4.channel.k8s.io") => Ok(spdy::client(request, wanted)),
        (carrier, other) => {
            let why = format!("the node does not speak {other:?} over {carrier:?} for exec and attach");
            Err(Failure::bad_request(why))
        }
    }
}
