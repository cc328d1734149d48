//! Starting one attempt of a container: image, environment, mounts, command, postStart hook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};

use super::context::{Context, uid};
use super::env::{self, Inputs, Sources, expand, services};
use super::events::Severity;
use super::image;
use super::mounts::{shared_mounts, termination_log, volume_mounts};
use super::probe::check::{Check, Target};
use super::security;
use super::setup::Surroundings;
use crate::runtime::images::Image;
use crate::runtime::{ContainerConfig, ContainerId, ContainerStatus, RuntimeError};

/// Why an attempt did not come about.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// The image is not there: `ErrImagePull`, `ErrImageNeverPull` or `InvalidImageName`.
    Image {
        /// The waiting state's reason.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The spec cannot be made into a container: `CreateContainerConfigError`, `CreateContainerError`.
    Config {
        /// The waiting state's reason.
        reason: String,
        /// For people.
        message: String,
    },
    /// It was created and did not start; the runtime lists it as exited.
    Start {
        /// The terminated state's reason.
        reason: String,
        /// For people.
        message: String,
        /// What the runtime lists.
        record: Option<Box<ContainerStatus>>,
    },
}

/// Starts attempt `attempt` of `container`.
///
/// # Errors
/// See [`StartFailure`].
pub(crate) async fn start(
    context: &Context,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    around: &Surroundings,
) -> Result<ContainerStatus, StartFailure> {
    let image = image::ensure(context, pod, container).await?;
    let config = config(context, pod, container, attempt, image, around).await;
    let config = config
        .map_err(|message| StartFailure::Config { reason: "CreateContainerConfigError".into(), message })?;
    let say = |reason, message: String| {
        context.recorder.pod(pod, Some(&container.name), Severity::Normal, reason, message)
    };
    let status = match context.runtime.create_and_start(uid(pod), config).await {
        Ok(status) => status,
        Err(error) => return Err(failure(context, pod, container, attempt, error).await),
    };
    say("Created", format!("Created container: {}", container.name));
    say("Started", format!("Started container {}", container.name));
    Ok(status)
}

/// Whether a reason says that there was no container at all.
pub(crate) fn never_created(reason: &str) -> bool {
    reason.starts_with("CreateContainer")
}

async fn failure(
    context: &Context,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    error: RuntimeError,
) -> StartFailure {
    let id = ContainerId { pod_uid: uid(pod).to_owned(), name: container.name.clone(), attempt };
    match error {
        RuntimeError::Start { reason, message } if never_created(&reason) => {
            // It is no attempt in Kubernetes' count: the next one has the same number.
            if let Err(error) = context.runtime.remove(&id).await {
                tracing::debug!(%error, "cannot forget a container that was not created");
            }
            StartFailure::Config { reason, message }
        }
        RuntimeError::Start { reason, message } => {
            let record = context.runtime.status(&id).await.ok().flatten().map(Box::new);
            StartFailure::Start { reason, message, record }
        }
        other => {
            StartFailure::Config { reason: "CreateContainerError".to_owned(), message: other.to_string() }
        }
    }
}

async fn config(
    context: &Context,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    image: Image,
    around: &Surroundings,
) -> Result<ContainerConfig, String> {
    security::check(pod, container)?;
    let environment = environment(context, pod, container, around).await?;
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| expand(text, |name| environment.get(name).cloned())).collect()
    };
    let dirs = context.directories(uid(pod));
    let mut mounts = volume_mounts(container, around, &environment, &dirs.data)?;
    mounts.extend(shared_mounts(&mounts, &dirs.run));
    mounts.push(termination_log(container, &termination_path(&dirs.data, &container.name, attempt))?);
    Ok(ContainerConfig {
        name: container.name.clone(),
        attempt,
        image,
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().filter(|d| !d.is_empty()),
        mounts,
        resources: security::resources(container),
        security: security::context(pod, container),
        tty: container.tty.unwrap_or(false),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        log_path: log_path(&dirs.data, &container.name, attempt),
        oom_score_adj: Some(security::oom_score_adj(pod, container, context.allocatable.memory_bytes)),
        env: environment.into_iter().collect(),
    })
}

async fn environment(
    context: &Context,
    pod: &Pod,
    container: &Container,
    around: &Surroundings,
) -> Result<BTreeMap<String, String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let (config_maps, secrets) = env::references(container);
    let mut sources = Sources::default();
    for name in config_maps {
        if let Some(data) = context.config_map(namespace, &name).await? {
            sources.config_maps.insert(name, data.into_iter().map(utf8).collect());
        }
    }
    for name in secrets {
        if let Some(data) = context.secret(namespace, &name).await? {
            sources.secrets.insert(name, data.into_iter().map(utf8).collect());
        }
    }
    // As of now: a Service that appears later is not in the environment, and none is forgotten because of a slow watch.
    context.services.wait_until_ready().await.map_err(|e| format!("the Services are not known: {e}"))?;
    let all = context.services.state();
    let links = pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true);
    let visible = services::visible(all.iter().map(AsRef::as_ref), namespace, links);
    let inputs = Inputs {
        pod,
        addresses: &context.addresses(&around.addresses),
        allocatable: &context.allocatable,
        services: services::variables(&visible),
        sources: &sources,
    };
    env::environment(container, &inputs)
}

fn utf8((key, bytes): (String, Vec<u8>)) -> (String, String) {
    (key, String::from_utf8_lossy(&bytes).into_owned())
}

/// Where an attempt writes its last words.
pub(crate) fn termination_path(data: &Path, container: &str, attempt: u32) -> PathBuf {
    data.join("termination").join(format!("{container}.{attempt}"))
}

/// Where an attempt's log is.
pub(crate) fn log_path(data: &Path, container: &str, attempt: u32) -> PathBuf {
    data.join("logs").join(container).join(format!("{attempt}.log"))
}

/// Runs a lifecycle hook within `limit`.
///
/// # Errors
/// Why it failed.
pub(crate) async fn run_hook(
    context: &Context,
    hook: &LifecycleHandler,
    target: &Target,
    limit: Duration,
) -> Result<(), String> {
    let check = if let Some(action) = &hook.exec {
        Check::Exec(action.clone())
    } else if let Some(action) = &hook.http_get {
        Check::Http(action.clone())
    } else if let Some(action) = &hook.tcp_socket {
        Check::Tcp(action.clone())
    } else {
        let seconds = hook.sleep.as_ref().and_then(|s| u64::try_from(s.seconds).ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds).min(limit)).await;
        return Ok(());
    };
    check.run(target, context.runtime.as_ref(), limit).await
}
