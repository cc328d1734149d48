//! A container runtime without containers: it starts at once, ends when told, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::runtime::{
    AttachConfig, ContainerConfig, ContainerId, ContainerState, ContainerStatus, Exec, ExecConfig,
    ExitStatus, Runtime, RuntimeError, RuntimeEvent, RuntimeFuture, SandboxConfig, SandboxStatus, Streams,
};

#[derive(Clone)]
pub(super) struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    pods: Mutex<BTreeMap<String, SandboxStatus>>,
    started: Mutex<Vec<ContainerConfig>>,
    stopped: Mutex<Vec<(ContainerId, Duration)>>,
    events: broadcast::Sender<RuntimeEvent>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let shared = Shared {
            pods: Mutex::default(),
            started: Mutex::default(),
            stopped: Mutex::default(),
            events: broadcast::channel(1000).0,
        };
        Self { shared: Arc::new(shared) }
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<String, SandboxStatus>> {
        self.shared.pods.lock().unwrap()
    }

    /// What was started, in order.
    pub(super) fn started(&self) -> Vec<ContainerConfig> {
        self.shared.started.lock().unwrap().clone()
    }

    /// What was stopped, with its grace.
    pub(super) fn stopped(&self) -> Vec<(ContainerId, Duration)> {
        self.shared.stopped.lock().unwrap().clone()
    }

    pub(super) fn sandboxes(&self) -> usize {
        self.pods().len()
    }

    /// The running container ends by itself.
    pub(super) fn end(&self, name: &str, exit_code: i32) {
        let mut pods = self.pods();
        let mut all = pods.values_mut().flat_map(|p| p.containers.iter_mut());
        let found = all
            .find(|c| c.id.name == name && c.state == ContainerState::Running)
            .expect("a running container");
        self.exited(found, exit_code);
    }

    /// The machine went down and came up: nothing runs, records remain.
    pub(super) fn crash(&self) {
        for pod in self.pods().values_mut() {
            pod.running = false;
            for container in pod.containers.iter_mut().filter(|c| c.state == ContainerState::Running) {
                container.state = ContainerState::Exited;
                container.exit_code = 137;
                container.reason = "ContainerStatusUnknown".into();
                container.finished_at = Some(Timestamp::now());
            }
        }
    }

    fn exited(&self, container: &mut ContainerStatus, exit_code: i32) {
        container.state = ContainerState::Exited;
        container.exit_code = exit_code;
        container.finished_at = Some(Timestamp::now());
        let _ = self.shared.events.send(RuntimeEvent::Exited(container.clone()));
    }
}

fn ready<'a, T: Send + 'a>(result: Result<T, RuntimeError>) -> RuntimeFuture<'a, T> {
    std::future::ready(result).boxed()
}

impl Runtime for Fake {
    fn run_sandbox(&self, config: SandboxConfig) -> RuntimeFuture<'_, ()> {
        let mut pods = self.pods();
        let uid = config.uid.clone();
        let fresh = SandboxStatus { config: config.clone(), running: true, containers: Vec::new() };
        let pod = pods.entry(uid).or_insert(fresh);
        (pod.config, pod.running) = (config, true);
        ready(Ok(()))
    }

    fn remove_sandbox<'a>(&'a self, pod_uid: &'a str) -> RuntimeFuture<'a, ()> {
        self.pods().remove(pod_uid);
        ready(Ok(()))
    }

    fn create_and_start<'a>(
        &'a self,
        pod_uid: &'a str,
        config: ContainerConfig,
    ) -> RuntimeFuture<'a, ContainerStatus> {
        let mut pods = self.pods();
        let Some(pod) = pods.get_mut(pod_uid) else {
            return ready(Err(RuntimeError::NoSandbox(pod_uid.into())));
        };
        let status = ContainerStatus {
            id: ContainerId { pod_uid: pod_uid.into(), name: config.name.clone(), attempt: config.attempt },
            container_id: format!("{:064x}", self.shared.started.lock().unwrap().len()),
            state: ContainerState::Running,
            image: config.image.names.first().cloned().unwrap_or_default(),
            image_id: config.image.id.clone(),
            pid: 1,
            started_at: Some(Timestamp::now()),
            finished_at: None,
            exit_code: 0,
            signal: 0,
            reason: String::new(),
            message: String::new(),
            log_path: config.log_path.clone(),
        };
        pod.containers.push(status.clone());
        self.shared.started.lock().unwrap().push(config);
        let _ = self.shared.events.send(RuntimeEvent::Started(status.clone()));
        ready(Ok(status))
    }

    fn kill<'a>(&'a self, _: &'a ContainerId, _: i32) -> RuntimeFuture<'a, ()> {
        ready(Ok(()))
    }

    fn stop<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> RuntimeFuture<'a, ContainerStatus> {
        self.shared.stopped.lock().unwrap().push((id.clone(), grace));
        let mut pods = self.pods();
        let found = pods.values_mut().flat_map(|p| p.containers.iter_mut()).find(|c| c.id == *id);
        ready(match found {
            Some(container) => {
                self.exited(container, 0);
                Ok(container.clone())
            }
            None => Err(RuntimeError::NoContainer(id.name.clone())),
        })
    }

    fn exec<'a>(&'a self, _: &'a ContainerId, config: ExecConfig) -> RuntimeFuture<'a, Exec> {
        let text = config.command.join(" ");
        // The command `exit N` ends with N; any other is echoed.
        let exit_code = text.strip_prefix("exit ").and_then(|n| n.parse().ok()).unwrap_or(0);
        let stdout: Box<dyn tokio::io::AsyncRead + Send + Unpin> =
            Box::new(std::io::Cursor::new(text.into_bytes()));
        ready(Ok(Exec {
            streams: Streams { stdout: Some(stdout), ..Default::default() },
            exited: std::future::ready(Ok(ExitStatus { exit_code, signal: 0 })).boxed(),
            kill: Box::new(|| std::future::ready(Ok(())).boxed()),
            pid: 1,
        }))
    }

    fn attach<'a>(&'a self, _: &'a ContainerId, _: AttachConfig) -> RuntimeFuture<'a, Streams> {
        ready(Ok(Streams::default()))
    }

    fn remove<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, ()> {
        for pod in self.pods().values_mut() {
            pod.containers.retain(|c| c.id != *id);
        }
        ready(Ok(()))
    }

    fn status<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, Option<ContainerStatus>> {
        let pods = self.pods();
        ready(Ok(pods.values().flat_map(|p| &p.containers).find(|c| c.id == *id).cloned()))
    }

    fn list(&self) -> RuntimeFuture<'_, Vec<SandboxStatus>> {
        ready(Ok(self.pods().values().cloned().collect()))
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.shared.events.subscribe()
    }
}
