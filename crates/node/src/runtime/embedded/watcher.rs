//! Follows a Pod's shim: what happens to its containers, and its own end.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::protocol::{Request, Response};
use super::super::types::{ContainerState, ContainerStatus, RuntimeEvent, SandboxConfig, SandboxStatus};
use super::super::{RuntimeError, cleanup_pod, record};
use super::client::Connection;
use super::{Pod, Shared, blocking};

/// Subscribes to the Pod's shim and follows it in a task; if there is none, ends what it left.
pub(super) async fn attach(shared: &Arc<Shared>, config: &SandboxConfig) {
    match subscribe(config).await {
        Ok(connection) => {
            shared.change(&config.uid, |p| p.running = true);
            let (shared, config) = (Arc::downgrade(shared), config.clone());
            tokio::spawn(async move {
                follow(connection, &shared, &config).await;
            });
        }
        Err(_) => {
            if let Err(e) = end_dead_pod(config).await {
                tracing::error!(pod = config.name, error = %e, "a pod whose shim is gone can't be cleaned up");
            }
        }
    }
}

async fn subscribe(config: &SandboxConfig) -> Result<Connection, RuntimeError> {
    let connecting = Connection::open(&config.dir).await;
    let mut connection = connecting.map_err(RuntimeError::io("connecting to the shim in", &config.dir))?;
    match connection.ask(&Request::Subscribe, &[]).await? {
        Response::Sandbox { .. } => Ok(connection),
        other => Err(super::unexpected(other)),
    }
}

/// Until the shim closes the connection, or nobody has the runtime any more.
async fn follow(mut connection: Connection, shared: &std::sync::Weak<Shared>, config: &SandboxConfig) {
    while let Ok(response) = connection.next().await {
        let Some(shared) = shared.upgrade() else { return };
        if let Response::Container(status) = response {
            match status.state {
                ContainerState::Running => shared.tell(RuntimeEvent::Started(*status)),
                ContainerState::Exited => shared.tell(RuntimeEvent::Exited(*status)),
                ContainerState::Created => {}
            }
        }
    }
    let Some(shared) = shared.upgrade() else { return };
    shared.change(&config.uid, |p| p.running = false);
    if shared.pod(&config.uid).is_none_or(|p| p.removing) {
        return;
    }
    match end_dead_pod(config).await {
        Ok(ended) => ended.into_iter().for_each(|status| shared.tell(RuntimeEvent::Exited(status))),
        Err(e) => tracing::error!(pod = config.name, error = %e, "a pod whose shim died can't be cleaned up"),
    }
    shared.tell(RuntimeEvent::SandboxGone { pod_uid: config.uid.clone() });
}

/// Kills what a dead shim left and records the ends that nobody saw; returns these.
pub(super) async fn end_dead_pod(config: &SandboxConfig) -> Result<Vec<ContainerStatus>, RuntimeError> {
    let config = config.clone();
    blocking(move || {
        cleanup_pod(&config.dir)?;
        let mut ended = Vec::new();
        for mut status in record::read_statuses(&config.dir) {
            if status.state != ContainerState::Exited {
                record::unknown_end(&mut status, Timestamp::now());
                record::write_status(&config.dir, &status)
                    .map_err(RuntimeError::io("recording a container's end in", &config.dir))?;
                ended.push(status);
            }
        }
        Ok(ended)
    })
    .await
}

/// The Pod as its shim, or its records, have it.
pub(super) async fn status_of(pod: &Pod) -> SandboxStatus {
    let config = pod.config.clone();
    if pod.running
        && let Ok(mut connection) = Connection::open(&config.dir).await
        && let Ok(Response::Sandbox { mut containers, .. }) = connection.ask(&Request::Info, &[]).await
    {
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        return SandboxStatus { config, running: true, containers };
    }
    let containers = record::read_statuses(&config.dir);
    SandboxStatus { config, running: false, containers }
}
