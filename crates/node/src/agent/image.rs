//! Has a container's image in the store before it starts: pull policy, pull secrets, the kubelet's events.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::context::Context;
use super::events::Severity;
use super::pull_secrets;
use super::start::StartFailure;
use crate::runtime::images::{Image, ImageError, PullRequest, Pulled, Reference};

/// The container's image, pulled if its policy asks for that.
///
/// # Errors
/// [`StartFailure::Image`].
pub(super) async fn ensure(
    context: &Context,
    pod: &Pod,
    container: &Container,
) -> Result<Image, StartFailure> {
    let name = container.image.clone().unwrap_or_default();
    let failed = |reason, message| StartFailure::Image { reason, message };
    let reference = Reference::parse(&name).map_err(|error| {
        failed("InvalidImageName", format!("Failed to apply default image tag \"{name}\": {error}"))
    })?;
    let found = find(context, &name).await;
    let dialled = !reference.is_local() && (context.config.egress || reference.is_loopback());
    match decide(pull_policy(container), found.is_ok(), reference.is_local(), dialled) {
        Step::Use => {
            let image = found.map_err(|e| failed("ErrImagePull", e.to_string()))?;
            let text = format!("Container image \"{name}\" already present on machine");
            context.recorder.pod(pod, Some(&container.name), Severity::Normal, "Pulled", text);
            Ok(image)
        }
        Step::Never => {
            let text = format!("Container image \"{name}\" is not present with pull policy of Never");
            Err(failed("ErrImageNeverPull", text))
        }
        Step::Pull => {
            let pulled = pull(context, pod, container, &name, &reference).await;
            pulled.map_err(|message| failed("ErrImagePull", message))?;
            find(context, &name).await.map_err(|e| failed("ErrImagePull", e.to_string()))
        }
    }
}

/// What a pull policy means for an image.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// What is in the store, or its error.
    Use,
    Pull,
    /// It is not there and must not be pulled.
    Never,
}

/// `local`: of the machine's own store. `dialled`: its registry may be asked. What no registry can be asked for is used as
/// it is in the store, also with policy Always: somebody loaded it for that.
fn decide(policy: &str, present: bool, local: bool, dialled: bool) -> Step {
    match (policy, present) {
        ("Never", false) => Step::Never,
        _ if local => Step::Use,
        ("Never" | "IfNotPresent", true) => Step::Use,
        (_, true) if !dialled => Step::Use,
        _ => Step::Pull,
    }
}

async fn find(context: &Context, name: &str) -> Result<Image, ImageError> {
    let (store, wanted) = (context.images.clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || store.resolve(&wanted)).await;
    found.unwrap_or_else(|_| Err(ImageError::Unknown(name.to_owned())))
}

async fn pull(
    context: &Context,
    pod: &Pod,
    container: &Container,
    name: &str,
    reference: &Reference,
) -> Result<(), String> {
    let say = |severity, reason, text: String| {
        context.recorder.pod(pod, Some(&container.name), severity, reason, text);
    };
    let (credentials, missing) = pull_secrets::credentials(context, pod, reference).await;
    if !missing.is_empty() {
        let text = format!(
            "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
            missing.join(", ")
        );
        say(Severity::Warning, "FailedToRetrieveImagePullSecret", text);
    }
    say(Severity::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let begun = Instant::now();
    let pulled = context.pulls.pull(PullRequest { image: name.to_owned(), credentials }).await?;
    say(Severity::Normal, "Pulled", pulled_text(name, &pulled, begun.elapsed()));
    Ok(())
}

fn pulled_text(name: &str, pulled: &Pulled, waited: Duration) -> String {
    let took = Duration::from_millis(pulled.took_ms);
    format!(
        "Successfully pulled image \"{name}\" in {} ({} including waiting). Image size: {} bytes.",
        go_duration(took),
        go_duration(waited.max(took)),
        pulled.size_bytes
    )
}

/// As Go prints a duration of whole milliseconds: `345ms`, `1.2s`, `1m2.003s`, `1h0m5s`.
fn go_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let fraction = format!("{:03}", ms % 1000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", ms / 1000 % 60);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
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
    fn what_a_policy_means() {
        for (policy, present, local, dialled, wanted) in [
            ("Always", true, false, true, Step::Pull),
            ("Always", false, false, true, Step::Pull),
            ("Always", true, false, false, Step::Use),
            // The pull says which registry is not dialled.
            ("Always", false, false, false, Step::Pull),
            ("IfNotPresent", true, false, true, Step::Use),
            ("IfNotPresent", false, false, true, Step::Pull),
            ("Never", true, false, true, Step::Use),
            ("Never", false, false, true, Step::Never),
            ("Never", false, true, false, Step::Never),
            ("Always", true, true, false, Step::Use),
            ("Always", false, true, false, Step::Use),
        ] {
            let step = decide(policy, present, local, dialled);
            assert_eq!(step, wanted, "{policy} {present} {local} {dialled}");
        }
    }

    #[test]
    fn the_event_reads_as_the_kubelets() {
        let pulled = Pulled { id: "sha256:0".into(), size_bytes: 1234, took_ms: 1200 };
        assert_eq!(
            pulled_text("x", &pulled, Duration::from_millis(1300)),
            "Successfully pulled image \"x\" in 1.2s (1.3s including waiting). Image size: 1234 bytes."
        );
        for (ms, text) in [(5, "5ms"), (1000, "1s"), (62_030, "1m2.03s"), (3_605_000, "1h0m5s")] {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }
}
