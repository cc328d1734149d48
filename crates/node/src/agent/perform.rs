//! Actions of the plan: each marks the state as under way and starts a task.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, DeleteParams, Preconditions};

use super::context::{Context, uid};
use super::events::Severity;
use super::plan::Action;
use super::probe::check::Target;
use super::setup;
use super::start::{self, StartFailure};
use super::state::{Sandbox, containers};
use super::status::container::pod_text;
use super::worker::{Message, Worker};
use crate::runtime::{ContainerId, ContainerState, ContainerStatus};

impl Worker {
    pub(super) fn perform(&mut self, action: Action, now: Timestamp) {
        match action {
            Action::SetUp => {
                self.state.sandbox = Sandbox::Starting;
                self.set_up();
            }
            Action::Start { container, attempt } => self.start(&container, attempt, now),
            Action::TellBackOff { container } => self.tell_back_off(&container),
            Action::PullBackOff { container } => self.pull_back_off(&container),
            Action::Stop { container, grace_s, message } => self.stop(&container, grace_s, &message, now),
            Action::TearDown => self.tear_down(),
            Action::Finish => self.finish(),
        }
    }

    pub(super) fn set_up(&mut self) {
        let (context, pod) = (self.context.clone(), self.pod.clone());
        self.spawn(async move { Message::SetUp(Box::new(setup::set_up(&context, &pod).await)) });
    }

    fn spec(&self, name: &str) -> Option<Container> {
        containers(&self.pod).find(|(_, c)| c.name == name).map(|(_, c)| c.clone())
    }

    fn start(&mut self, name: &str, attempt: u32, now: Timestamp) {
        // After a restart of the agent the surroundings are looked up first; the plan comes back to this.
        let (Some(around), Some(spec)) = (self.around.clone(), self.spec(name)) else { return };
        let view = self.state.containers.entry(name.to_owned()).or_default();
        view.starting = true;
        if view.waiting.is_none()
            && let Some(ended) = view.exited().map(|exit| exit.finished_at.unwrap_or(now))
        {
            view.restarts.next(ended);
        }
        let (context, pod, container) = (self.context.clone(), self.pod.clone(), name.to_owned());
        self.spawn(async move {
            let result = start_and_greet(&context, &pod, &spec, attempt, &around).await;
            Message::Started { container, result: Box::new(result) }
        });
    }

    fn tell_back_off(&mut self, name: &str) {
        let Some(view) = self.state.containers.get_mut(name) else { return };
        view.backoff_told = view.exited().and_then(|exit| exit.finished_at);
        let message = format!("Back-off restarting failed container {name} in pod {}", pod_text(&self.pod));
        self.context.recorder.pod(&self.pod, Some(name), Severity::Warning, "BackOff", message);
    }

    fn pull_back_off(&mut self, name: &str) {
        let image = self.spec(name).and_then(|c| c.image).unwrap_or_default();
        let Some(waiting) = self.state.containers.get_mut(name).and_then(|v| v.waiting.as_mut()) else {
            return;
        };
        waiting.reason = "ImagePullBackOff".to_owned();
        waiting.message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", waiting.message);
        let say = |severity, reason, message| {
            self.context.recorder.pod(&self.pod, Some(name), severity, reason, message)
        };
        say(Severity::Normal, "BackOff", format!("Back-off pulling image \"{image}\""));
        say(Severity::Warning, "Failed", "Error: ImagePullBackOff".to_owned());
    }

    fn stop(&mut self, name: &str, grace_s: i64, message: &str, now: Timestamp) {
        let (Some(spec), Some(view)) = (self.spec(name), self.state.containers.get_mut(name)) else { return };
        let Some(current) = view.current.clone() else { return };
        let again = view.stopping.is_some();
        view.stopping = now.checked_add(SignedDuration::from_secs(grace_s)).ok().or(Some(now));
        if !again {
            self.context.recorder.pod(&self.pod, Some(name), Severity::Normal, "Killing", message);
        }
        let target = self.target(&current.id, &spec);
        let (context, pod, container) = (self.context.clone(), self.pod.clone(), name.to_owned());
        let grace = Duration::from_secs(u64::try_from(grace_s).unwrap_or(0));
        self.spawn(async move {
            // Here a later version waits until the proxies have withdrawn the Pod's endpoints.
            let hook =
                spec.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()).filter(|_| !again && grace_s > 0);
            let begun = tokio::time::Instant::now();
            let mut left = grace;
            if let Some(hook) = hook {
                if let Err(why) = start::run_hook(&context, hook, &target, grace).await {
                    let text = format!("PreStopHook failed: {why}");
                    context.recorder.pod(
                        &pod,
                        Some(&container),
                        Severity::Warning,
                        "FailedPreStopHook",
                        text,
                    );
                }
                // However long the hook took, the process gets a moment to end by itself.
                left = grace.saturating_sub(begun.elapsed()).max(Duration::from_secs(2));
            }
            let result = stop_now(&context, &target.id, left).await;
            Message::Stopped { container, result: Box::new(result) }
        });
    }

    pub(super) fn target(&self, id: &ContainerId, spec: &Container) -> Target {
        let address = self.state.addresses.first().or(self.context.config.node_ips.first()).copied();
        let address = address.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        Target { address, id: id.clone(), container: spec.clone() }
    }

    fn tear_down(&mut self) {
        if self.refreshing {
            // What is being brought up to date would come back; its outcome brings the plan here again.
            return;
        }
        self.state.sandbox = Sandbox::Stopping;
        self.probes.clear();
        let (context, pod) = (self.context.clone(), self.pod.clone());
        self.spawn(async move {
            persist("tear down", || setup::tear_down(&context, &pod)).await;
            Message::TornDown
        });
    }

    /// Removes files and object, once the last status is written.
    fn finish(&mut self) {
        // A status that is refused again and again must not keep a Pod for ever.
        let settled = self.state.gone || self.status_settled() || self.writing.failures > 10;
        if self.finishing || !settled {
            return;
        }
        self.finishing = true;
        let (context, pod, gone) = (self.context.clone(), self.pod.clone(), self.state.gone);
        self.spawn(async move {
            persist("remove the files of", || setup::remove_files(&context, uid(&pod))).await;
            if !gone {
                persist("delete", || delete(&context, &pod)).await;
            }
            Message::Finished
        });
    }
}

async fn start_and_greet(
    context: &Context,
    pod: &Pod,
    spec: &Container,
    attempt: u32,
    around: &Arc<setup::Surroundings>,
) -> Result<ContainerStatus, StartFailure> {
    let status = start::start(context, pod, spec, attempt, around).await?;
    let Some(hook) = spec.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(status) };
    let address =
        around.addresses.first().copied().unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let target = Target { address, id: status.id.clone(), container: spec.clone() };
    // Kubernetes sets no limit; the container's end ends an exec, an hour ends the rest.
    match start::run_hook(context, hook, &target, Duration::from_secs(3600)).await {
        Ok(()) => Ok(status),
        Err(why) => {
            let text = format!("PostStartHook failed: {why}");
            context.recorder.pod(pod, Some(&spec.name), Severity::Warning, "FailedPostStartHook", text);
            let text = format!("FailedPostStartHook: container {} will be restarted", spec.name);
            context.recorder.pod(pod, Some(&spec.name), Severity::Normal, "Killing", text);
            let stopped = stop_now(context, &status.id, Duration::from_secs(30)).await;
            Ok(stopped.ok().flatten().unwrap_or(status))
        }
    }
}

/// Stops an attempt; none if there is none.
async fn stop_now(
    context: &Context,
    id: &ContainerId,
    grace: Duration,
) -> Result<Option<ContainerStatus>, String> {
    let error = match context.runtime.stop(id, grace).await {
        Ok(status) => return Ok(Some(status)),
        Err(error) => error,
    };
    // It may have ended by itself meanwhile.
    match context.runtime.status(id).await {
        Ok(Some(status)) if status.state == ContainerState::Exited => Ok(Some(status)),
        Ok(None) => Ok(None),
        _ => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err(error.to_string())
        }
    }
}

/// Repeats `work` until it succeeds, less and less often.
async fn persist<F: Future<Output = Result<(), String>>>(doing: &str, mut work: impl FnMut() -> F) {
    let mut pause = Duration::from_millis(200);
    while let Err(error) = work().await {
        tracing::warn!(%error, "cannot {doing} a Pod; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

async fn delete(context: &Context, pod: &Pod) -> Result<(), String> {
    let api: Api<Pod> =
        Api::namespaced(context.client.clone(), pod.metadata.namespace.as_deref().unwrap_or("default"));
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
        ..Default::default()
    };
    match api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &params).await {
        Ok(_) => Ok(()),
        // Gone already, or another Pod has its name by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(super::context::text(&error)),
    }
}
