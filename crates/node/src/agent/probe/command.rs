//! A command in a container, as a check.

use k8s_openapi::api::core::v1::ExecAction;
use tokio::io::AsyncReadExt;

use crate::runtime::{ContainerId, Exec, ExecConfig, Runtime};

/// Output of a failed command that an event shows.
const MAX_OUTPUT: u64 = 10 * 1024;

/// Runs the command; it is killed when the caller stops waiting.
///
/// # Errors
/// What it wrote, if it ended with another code than 0, or why it could not be run.
pub(super) async fn run(action: &ExecAction, id: &ContainerId, runtime: &dyn Runtime) -> Result<(), String> {
    let config = ExecConfig {
        command: action.command.clone().unwrap_or_default(),
        stdout: true,
        stderr: true,
        ..Default::default()
    };
    let exec = runtime.exec(id, config).await.map_err(|e| e.to_string())?;
    let mut exec = Killed(Some(exec));
    let Some(running) = exec.0.as_mut() else { return Ok(()) };
    let (out, err) = tokio::join!(read(running.streams.stdout.take()), read(running.streams.stderr.take()));
    let status = running.wait().await.map_err(|e| e.to_string())?;
    exec.0 = None;
    if status.exit_code == 0 { Ok(()) } else { Err(format!("{out}{err}")) }
}

/// A command that is killed when nobody waits for it any more.
struct Killed(Option<Exec>);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(exec) = self.0.take() {
            let killing = (exec.kill)();
            tokio::spawn(async move {
                if let Err(error) = killing.await {
                    tracing::debug!(%error, "cannot kill the command of a probe");
                }
            });
        }
    }
}

async fn read(stream: Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    let _ = (&mut stream).take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    // The rest is drained, or the command would block on a full pipe.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
