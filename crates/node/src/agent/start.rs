//! Starting one attempt of a container: image, environment, mounts, command, postStart hook.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, VolumeMount};

use super::context::{Context, uid};
use super::env::{self, Inputs, Sources, expand, services};
use super::events::Severity;
use super::probe::check::{Check, Target};
use super::security;
use super::setup::{SHARED_FILES, Surroundings};
use crate::runtime::images::{Image, ImageError, Reference};
use crate::runtime::{ContainerConfig, ContainerId, ContainerStatus, Mount, RuntimeError};

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
    let image = image(context, pod, container).await?;
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

async fn image(context: &Context, pod: &Pod, container: &Container) -> Result<Image, StartFailure> {
    let name = container.image.clone().unwrap_or_default();
    let store = context.images.clone();
    let wanted = name.clone();
    let found = tokio::task::spawn_blocking(move || store.resolve(&wanted)).await;
    let error = match found {
        Ok(Ok(image)) => {
            let text = format!("Container image \"{name}\" already present on machine");
            context.recorder.pod(pod, Some(&container.name), Severity::Normal, "Pulled", text);
            return Ok(image);
        }
        Ok(Err(error)) => error,
        Err(panic) => return Err(StartFailure::Image { reason: "ErrImagePull", message: panic.to_string() }),
    };
    if matches!(error, ImageError::InvalidName(_)) {
        let message = format!("Failed to apply default image tag \"{name}\": {error}");
        return Err(StartFailure::Image { reason: "InvalidImageName", message });
    }
    if pull_policy(container) == "Never" {
        let message = format!("Container image \"{name}\" is not present with pull policy of Never");
        return Err(StartFailure::Image { reason: "ErrImageNeverPull", message });
    }
    Err(StartFailure::Image { reason: "ErrImagePull", message: error.to_string() })
}

/// `imagePullPolicy`, or its default: Always for `:latest`.
fn pull_policy(container: &Container) -> &str {
    let latest = |name: &str| Reference::parse(name).is_ok_and(|r| r.tag.as_deref() == Some("latest"));
    match container.image_pull_policy.as_deref() {
        Some(policy) if !policy.is_empty() => policy,
        _ if latest(container.image.as_deref().unwrap_or_default()) => "Always",
        _ => "IfNotPresent",
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

/// The volume mounts of a container.
fn volume_mounts(
    container: &Container,
    around: &Surroundings,
    environment: &BTreeMap<String, String>,
    data: &Path,
) -> Result<Vec<Mount>, String> {
    let mut out = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume =
            around.mounted.get(&mount.name).ok_or_else(|| format!("volume {:?} is not there", mount.name))?;
        let host_path = match sub_path(mount, environment) {
            Some(sub) => below(volume, &sub, data)?,
            None => volume.clone(),
        };
        out.push(Mount {
            host_path,
            container_path: PathBuf::from(&mount.mount_path),
            readonly: mount.read_only.unwrap_or(false),
        });
    }
    Ok(out)
}

fn sub_path(mount: &VolumeMount, environment: &BTreeMap<String, String>) -> Option<String> {
    let from_env =
        mount.sub_path_expr.as_ref().map(|text| expand(text, |name| environment.get(name).cloned()));
    from_env.or_else(|| mount.sub_path.clone()).filter(|s| !s.is_empty())
}

/// The path `sub` in a volume, made as a directory if it is missing, with every symbolic link resolved: it may not lead
/// out of the volume.
fn below(volume: &Path, sub: &str, data: &Path) -> Result<PathBuf, String> {
    let fail = |why: String| format!("failed to prepare subPath {sub:?}: {why}");
    let relative = Path::new(sub);
    if !relative.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
        return Err(fail("must be a relative path without '..'".into()));
    }
    let base = volume.canonicalize().map_err(|e| fail(e.to_string()))?;
    let path = base.join(relative);
    // Links of the volume itself (`..data`) are followed; a directory is made only where nothing is.
    if std::fs::symlink_metadata(&path).is_err() && base.starts_with(data) {
        std::fs::create_dir_all(&path).map_err(|e| fail(e.to_string()))?;
    }
    let real = path.canonicalize().map_err(|e| fail(e.to_string()))?;
    if real.starts_with(&base) { Ok(real) } else { Err(fail("it leads out of the volume".into())) }
}

/// hosts, resolv.conf and hostname, except where the container mounts something of its own.
fn shared_mounts(own: &[Mount], run: &Path) -> Vec<Mount> {
    let taken = |path: &str| own.iter().any(|m| m.container_path == Path::new(path));
    SHARED_FILES
        .iter()
        .filter(|(_, path)| !taken(path))
        .map(|(name, path)| Mount {
            host_path: run.join("etc").join(name),
            container_path: PathBuf::from(path),
            readonly: false,
        })
        .collect()
}

fn termination_log(container: &Container, file: &Path) -> Result<Mount, String> {
    let make = |file: &Path| {
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(file, "")?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666))
    };
    make(file).map_err(|e| format!("cannot make {}: {e}", file.display()))?;
    let path = container.termination_message_path.as_deref().filter(|p| !p.is_empty());
    Ok(Mount {
        host_path: file.to_owned(),
        container_path: PathBuf::from(path.unwrap_or("/dev/termination-log")),
        readonly: false,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pull_policies() {
        for (container, wanted) in [
            (json!({"image": "localhost/hello"}), "Always"),
            (json!({"image": "localhost/hello:latest"}), "Always"),
            (json!({"image": "localhost/hello:4.1"}), "IfNotPresent"),
            (json!({"image": "localhost/hello", "imagePullPolicy": "Never"}), "Never"),
        ] {
            let mut container = container;
            container["name"] = json!("c");
            assert_eq!(pull_policy(&serde_json::from_value(container).unwrap()), wanted);
        }
    }

    #[test]
    fn sub_paths_stay_in_their_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        std::fs::create_dir_all(volume.join("real")).unwrap();
        std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
        std::os::unix::fs::symlink("real", volume.join("in")).unwrap();
        assert_eq!(below(&volume, "in", dir.path()), Ok(volume.canonicalize().unwrap().join("real")));
        assert!(below(&volume, "new/deep", dir.path()).is_ok_and(|p| p.is_dir()));
        for bad in ["out", "out/passwd", "../x", "/etc"] {
            assert!(below(&volume, bad, dir.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mount_of_ones_own_replaces_a_shared_file() {
        let own = [Mount { container_path: "/etc/hosts".into(), ..Default::default() }];
        let shared = shared_mounts(&own, Path::new("/run/p"));
        let paths: Vec<_> = shared.iter().map(|m| m.container_path.to_string_lossy().into_owned()).collect();
        assert_eq!(paths, ["/etc/resolv.conf", "/etc/hostname"]);
    }
}
