//! What messages do to the state of a Pod.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::context::uid;
use super::events::Severity;
use super::setup::{SetUpError, Surroundings};
use super::start::{self, StartFailure};
use super::state::{ContainerView, Sandbox, Waiting, containers};
use super::worker::{Message, StatusError, Worker};
use crate::runtime::{ContainerId, ContainerState, ContainerStatus, SandboxStatus};

impl Worker {
    /// Begins where an earlier agent stopped.
    pub(super) fn take_over(&mut self) {
        if self.state.sandbox != Sandbox::Ready {
            return;
        }
        self.refreshing = true;
        self.set_up();
        let names: Vec<String> = self.state.containers.keys().cloned().collect();
        for name in names {
            self.begin_probes(&name);
        }
    }

    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Pod(pod) => {
                self.pod = pod;
                self.drop_probes_of_the_dying();
            }
            Message::Gone => {
                self.state.gone = true;
                self.drop_probes_of_the_dying();
            }
            Message::Container(status) if start::never_created(&status.reason) => {}
            Message::Container(status) => self.observe(*status),
            Message::Resync(found) => self.resync(found.map(|s| *s)),
            Message::Probe(report) => self.heed(&report),
            Message::SetUp(result) => self.surrounded(*result),
            Message::Started { container, result } => self.started(&container, *result),
            Message::Stopped { container, result } => self.stopped(&container, *result),
            Message::TornDown => self.state.sandbox = Sandbox::Removed,
            Message::Finished => self.done = true,
            Message::StatusWritten(result) => self.status_written(result),
        }
    }

    /// Takes a record of the runtime. Records come twice and out of order; an end is final.
    pub(super) fn observe(&mut self, mut record: ContainerStatus) {
        let data = self.context.directories(uid(&self.pod)).data;
        if record.state == ContainerState::Exited && record.message.is_empty() {
            record.message = self.last_words(&record, &data);
        }
        let name = record.id.name.clone();
        let Some(view) = self.state.containers.get_mut(&name) else {
            let view = ContainerView {
                attempt: Some(record.id.attempt),
                current: Some(record),
                ..Default::default()
            };
            self.state.containers.insert(name, view);
            return;
        };
        match view.attempt {
            Some(known) if record.id.attempt < known => return,
            Some(known) if record.id.attempt == known && view.exited().is_some() => return,
            Some(known) if record.id.attempt == known && view.current.is_some() => {}
            _ => {
                view.previous = view.current.take();
                view.attempt = Some(record.id.attempt);
                (view.stale, view.waiting, view.must_stop) = (false, None, None);
                (view.started, view.ready) = (false, false);
            }
        }
        if record.state == ContainerState::Exited {
            (view.stopping, view.must_stop, view.ready, view.started) = (None, None, false, false);
            self.probes.retain(|(of, _), _| *of != name);
        }
        view.current = Some(record);
    }

    /// The termination message.
    fn last_words(&self, record: &ContainerStatus, data: &std::path::Path) -> String {
        const MAX: usize = 4096;
        let path = start::termination_path(data, &record.id.name, record.id.attempt);
        let mut bytes = std::fs::read(path).unwrap_or_default();
        bytes.truncate(MAX);
        let wants_log = containers(&self.pod).any(|(_, c)| {
            c.name == record.id.name
                && c.termination_message_policy.as_deref() == Some("FallbackToLogsOnError")
        });
        if bytes.is_empty() && wants_log && record.exit_code != 0 {
            let path = start::log_path(data, &record.id.name, record.id.attempt);
            return crate::tunnel::last_lines(&path, 80, 2048);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn resync(&mut self, found: Option<SandboxStatus>) {
        let alive = found.as_ref().is_some_and(|s| s.running);
        for record in found.into_iter().flat_map(|s| s.containers) {
            self.observe(record);
        }
        if !alive && self.state.sandbox == Sandbox::Ready {
            let text = "Pod sandbox changed, it will be killed and re-created.";
            self.context.recorder.pod(&self.pod, None, Severity::Normal, "SandboxChanged", text);
            self.state.sandbox = Sandbox::Absent;
            for view in self.state.containers.values_mut() {
                view.stale = view.current.is_some();
            }
        }
    }

    fn surrounded(&mut self, result: Result<Surroundings, SetUpError>) {
        let refresh = std::mem::take(&mut self.refreshing);
        match result {
            Ok(around) => {
                self.state.addresses.clone_from(&around.addresses);
                self.around = Some(Arc::new(around));
                if self.state.sandbox == Sandbox::Starting {
                    self.state.sandbox = Sandbox::Ready;
                    self.setup_failures = 0;
                }
            }
            Err(error) => {
                let reason = if matches!(error, SetUpError::Volume(_)) {
                    "FailedMount"
                } else {
                    "FailedCreatePodSandBox"
                };
                self.context.recorder.pod(&self.pod, None, Severity::Warning, reason, error.to_string());
                if refresh {
                    // The old files stay; look again later.
                    self.postpone_refresh();
                } else {
                    self.setup_failures = self.setup_failures.saturating_add(1);
                    let pause_ms = (250_i64 << self.setup_failures.min(9)).min(122_000);
                    let retry = Timestamp::now() + SignedDuration::from_millis(pause_ms);
                    self.state.sandbox = Sandbox::Failed { retry };
                }
            }
        }
    }

    fn postpone_refresh(&mut self) {
        let Some(around) = &self.around else { return };
        let mut around = Surroundings::clone(around);
        around.refresh = Some(Timestamp::now() + SignedDuration::from_secs(10));
        self.around = Some(Arc::new(around));
    }

    /// Brings volumes up to date when it is time; returns when it will be.
    pub(super) fn refresh_volumes(&mut self, now: Timestamp) -> Option<Timestamp> {
        let at = self.around.as_ref()?.refresh?;
        if self.state.sandbox != Sandbox::Ready || self.refreshing {
            return None;
        }
        if at > now {
            return Some(at);
        }
        self.refreshing = true;
        self.set_up();
        None
    }

    fn started(&mut self, name: &str, result: Result<ContainerStatus, StartFailure>) {
        let now = Timestamp::now();
        if let Some(view) = self.state.containers.get_mut(name) {
            view.starting = false;
        }
        match result {
            Ok(status) => {
                let attempt = status.id.attempt;
                self.observe(status);
                self.begin_probes(name);
                self.forget_attempt(name, attempt);
            }
            Err(StartFailure::Image { reason, message }) => self.image_missing(name, reason, message, now),
            Err(StartFailure::Config { reason, message }) => {
                let text = format!("Error: {message}");
                self.context.recorder.pod(&self.pod, Some(name), Severity::Warning, "Failed", text);
                self.wait(name, reason, message, now, now + SignedDuration::from_secs(5));
            }
            Err(StartFailure::Start { reason, message, record }) => {
                let text = format!("Error: {reason}: {message}");
                self.context.recorder.pod(&self.pod, Some(name), Severity::Warning, "Failed", text);
                match record {
                    Some(record) => self.observe(*record),
                    None => self.wait(name, reason, message, now, now + SignedDuration::from_secs(5)),
                }
            }
        }
    }

    fn image_missing(&mut self, name: &str, reason: &'static str, message: String, now: Timestamp) {
        let say = |reason, text: String| {
            self.context.recorder.pod(&self.pod, Some(name), Severity::Warning, reason, text)
        };
        let image = containers(&self.pod).find(|(_, c)| c.name == name).and_then(|(_, c)| c.image.clone());
        match reason {
            "ErrImagePull" => {
                let image = image.unwrap_or_default();
                say("Failed", format!("Failed to pull image \"{image}\": {message}"));
                say("Failed", "Error: ErrImagePull".to_owned());
            }
            "InvalidImageName" => {
                say("InspectFailed", message.clone());
                say("Failed", format!("Error: {reason}"));
            }
            _ => {
                say("ErrImageNeverPull", message.clone());
                say("Failed", format!("Error: {reason}"));
            }
        }
        let view = self.state.containers.entry(name.to_owned()).or_default();
        view.pulls.next(now);
        let retry = view.pulls.until(now).unwrap_or(now + SignedDuration::from_secs(10));
        self.wait(name, reason.to_owned(), message, now, retry);
    }

    fn wait(&mut self, name: &str, reason: String, message: String, since: Timestamp, retry: Timestamp) {
        let view = self.state.containers.entry(name.to_owned()).or_default();
        view.waiting = Some(Waiting { reason, message, since, retry });
    }

    /// Asks for what the runtime has: an attempt that failed to start is listed as ended.
    fn ask_runtime(&mut self) {
        let (runtime, pod_uid) = (self.context.runtime.clone(), uid(&self.pod).to_owned());
        self.spawn(async move {
            let all = runtime.list().await.unwrap_or_default();
            Message::Resync(all.into_iter().find(|s| s.config.uid == pod_uid).map(Box::new))
        });
    }

    /// Keeps one ended attempt beside the present one.
    fn forget_attempt(&mut self, name: &str, attempt: u32) {
        let Some(old) = attempt.checked_sub(2) else { return };
        let id = ContainerId { pod_uid: uid(&self.pod).to_owned(), name: name.to_owned(), attempt: old };
        let data = self.context.directories(&id.pod_uid).data;
        let runtime = self.context.runtime.clone();
        tokio::spawn(async move {
            if let Err(error) = runtime.remove(&id).await {
                tracing::debug!(%error, "cannot forget an old container");
            }
            let log = start::log_path(&data, &id.name, id.attempt);
            for file in [start::termination_path(&data, &id.name, id.attempt), log] {
                let _ = std::fs::remove_file(file);
            }
        });
    }

    fn stopped(&mut self, name: &str, result: Result<Option<ContainerStatus>, String>) {
        match result {
            Ok(Some(status)) => self.observe(status),
            Ok(None) => self.ask_runtime(),
            Err(error) => {
                let text = format!("error killing pod: failed to stop container {name}: {error}");
                self.context.recorder.pod(&self.pod, None, Severity::Warning, "FailedKillPod", text);
            }
        }
        // If it still runs, the plan stops it again.
        if let Some(view) = self.state.containers.get_mut(name) {
            view.stopping = None;
        }
    }

    fn status_written(&mut self, result: Result<Box<k8s_openapi::api::core::v1::PodStatus>, StatusError>) {
        self.writing.busy = false;
        match result {
            Ok(status) => {
                self.writing.last = Some(*status);
                self.writing.written = Some(Timestamp::now());
                (self.writing.retry, self.writing.failures) = (None, 0);
            }
            Err(StatusError::NoSuchPod) => self.state.gone = true,
            Err(StatusError::Later) => {
                self.writing.failures = self.writing.failures.saturating_add(1);
                let pause_ms = 50_i64 << self.writing.failures.min(7);
                self.writing.retry = Some(Timestamp::now() + SignedDuration::from_millis(pause_ms));
            }
        }
    }
}
