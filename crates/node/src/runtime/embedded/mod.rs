//! The runtime that needs nothing installed: one `pod-shim` a Pod, spoken to over its socket.

mod client;
mod program;
mod streams;
mod watcher;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::broadcast;

use self::client::{Connection, unexpected};
use super::protocol::{Request, Response};
use super::types::{
    AttachConfig, ContainerConfig, ContainerId, ContainerStatus, ExecConfig, RuntimeEvent, SandboxConfig,
    SandboxStatus,
};
use super::{Exec, Runtime, RuntimeError, RuntimeFuture, Streams, cleanup_pod, record};

/// What the embedded runtime needs to know.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// The directory of the node's Pods: every [`SandboxConfig::dir`] is directly below it.
    pub pods_dir: PathBuf,
    /// The program and its first arguments that run [`super::shim_main`] with what follows: `sealane run pod-shim`.
    pub shim_command: Vec<OsString>,
    /// The cluster's name; every shim carries `--name NAME` in its command line.
    pub cluster: String,
}

/// See [`Runtime`]. Cheap to clone.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    config: EmbeddedConfig,
    program: program::Program,
    /// By Pod uid.
    pods: Mutex<BTreeMap<String, Pod>>,
    events: broadcast::Sender<RuntimeEvent>,
}

#[derive(Clone)]
struct Pod {
    config: SandboxConfig,
    running: bool,
    /// The agent asked for its end, so that end is no event.
    removing: bool,
}

/// More events than a node has containers; who lags lists again.
const EVENTS: usize = 4096;

impl Embedded {
    /// Opens the runtime and finds the Pods that are there: those whose shim runs are attached to, what is left of the
    /// others is ended and their containers are recorded as exited. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the Pods' directory can't be read, or the shim's program can't be opened.
    pub async fn new(config: EmbeddedConfig) -> Result<Self, RuntimeError> {
        std::fs::create_dir_all(&config.pods_dir).map_err(RuntimeError::io("making", &config.pods_dir))?;
        let program = program::Program::open(&config.shim_command)?;
        let shared = Shared { config, program, pods: Mutex::default(), events: broadcast::channel(EVENTS).0 };
        let embedded = Self { shared: Arc::new(shared) };
        let dir = &embedded.shared.config.pods_dir;
        let entries = std::fs::read_dir(dir).map_err(RuntimeError::io("reading", dir))?;
        for sandbox in entries.flatten().filter_map(|e| record::read_sandbox(&e.path())) {
            embedded.shared.insert(&sandbox, false);
            watcher::attach(&embedded.shared, &sandbox).await;
        }
        Ok(embedded)
    }

    async fn connect(&self, pod_uid: &str) -> Result<Connection, RuntimeError> {
        let pod = self.shared.pod(pod_uid).ok_or_else(|| RuntimeError::NoSandbox(pod_uid.to_owned()))?;
        Connection::open(&pod.config.dir).await.map_err(|_| RuntimeError::NoSandbox(pod_uid.to_owned()))
    }

    /// One request that is answered with a container's status.
    async fn status_after(&self, pod_uid: &str, request: Request) -> Result<ContainerStatus, RuntimeError> {
        let mut connection = self.connect(pod_uid).await?;
        match connection.ask(&request, &[]).await? {
            Response::Container(status) => Ok(*status),
            other => Err(unexpected(other)),
        }
    }

    async fn done_after(&self, pod_uid: &str, request: Request) -> Result<(), RuntimeError> {
        match self.connect(pod_uid).await?.ask(&request, &[]).await? {
            Response::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn start_sandbox(&self, config: SandboxConfig) -> Result<(), RuntimeError> {
        if self.shared.pod(&config.uid).is_some_and(|p| p.running)
            && Connection::open(&config.dir).await.is_ok()
        {
            return Ok(());
        }
        watcher::end_dead_pod(&config).await?;
        record::write_sandbox(&config).map_err(RuntimeError::io("recording the sandbox in", &config.dir))?;
        self.shared.insert(&config, false);
        self.shared.program.spawn_shim(&self.shared.config, &config).await?;
        watcher::attach(&self.shared, &config).await;
        match self.shared.pod(&config.uid) {
            Some(pod) if pod.running => Ok(()),
            _ => Err(RuntimeError::Shim { pod: config.name, message: "it ended at once".to_owned() }),
        }
    }

    async fn end_sandbox(&self, pod_uid: &str) -> Result<(), RuntimeError> {
        let Some(pod) = self.shared.pod(pod_uid) else { return Ok(()) };
        self.shared.change(pod_uid, |p| p.removing = true);
        if let Ok(mut connection) = Connection::open(&pod.config.dir).await {
            // The shim closes the connection when everything has ended; one that does not is killed below.
            let ended = connection.ask(&Request::Shutdown, &[]);
            drop(tokio::time::timeout(Duration::from_secs(10), ended).await);
        }
        let dir = pod.config.dir.clone();
        blocking(move || {
            cleanup_pod(&dir)?;
            record::remove_sandbox(&dir).map_err(RuntimeError::io("forgetting the sandbox in", dir))
        })
        .await?;
        self.shared.pods().remove(pod_uid);
        Ok(())
    }

    async fn attach_streams(&self, id: &ContainerId, config: AttachConfig) -> Result<Streams, RuntimeError> {
        let mut connection = self.connect(&id.pod_uid).await?;
        let (mut streams, theirs) = streams::pipes(false, config.stdout, config.stderr)?;
        let request = Request::Attach { container: key(id), config };
        match connection.ask(&request, &theirs.fds()).await? {
            Response::Done => {}
            other => return Err(unexpected(other)),
        }
        streams.take_input(connection.fds(), config.stdin)?;
        Ok(streams)
    }

    async fn start_exec(&self, id: &ContainerId, config: ExecConfig) -> Result<Exec, RuntimeError> {
        let mut connection = self.connect(&id.pod_uid).await?;
        let (mut streams, theirs) = match config.tty {
            true => (Streams::default(), streams::Theirs::default()),
            false => streams::pipes(config.stdin, config.stdout, config.stderr)?,
        };
        let (stdin, stdout) = (config.stdin, config.stdout);
        let request = Request::Exec { container: key(id), config };
        let pid = match connection.ask(&request, &theirs.fds()).await? {
            Response::Executing { pid } => pid,
            other => return Err(unexpected(other)),
        };
        drop(theirs);
        streams.take_terminal(connection.fds(), stdin, stdout)?;
        let exited = async move {
            match connection.next().await? {
                Response::Exited(status) => Ok(status),
                other => Err(unexpected(other)),
            }
        };
        let killer = self.clone();
        let pod_uid = id.pod_uid.clone();
        let kill = move || {
            let (killer, pod_uid) = (killer.clone(), pod_uid.clone());
            async move { killer.done_after(&pod_uid, Request::KillExec { pid }).await }.boxed()
        };
        Ok(Exec { streams, exited: exited.boxed(), kill: Box::new(kill), pid })
    }

    async fn one_status(&self, id: &ContainerId) -> Result<Option<ContainerStatus>, RuntimeError> {
        let Some(pod) = self.shared.pod(&id.pod_uid) else { return Ok(None) };
        Ok(watcher::status_of(&pod).await.containers.into_iter().find(|c| c.id == *id))
    }

    async fn forget(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let Some(pod) = self.shared.pod(&id.pod_uid) else { return Ok(()) };
        if pod.running {
            return self.done_after(&id.pod_uid, Request::Remove { container: key(id) }).await;
        }
        let dir = record::container_dir(&pod.config.dir, &key(id));
        blocking(move || match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::io("deleting", dir)(e)),
            _ => Ok(()),
        })
        .await
    }
}

impl Runtime for Embedded {
    fn run_sandbox(&self, config: SandboxConfig) -> RuntimeFuture<'_, ()> {
        self.start_sandbox(config).boxed()
    }

    fn remove_sandbox<'a>(&'a self, pod_uid: &'a str) -> RuntimeFuture<'a, ()> {
        self.end_sandbox(pod_uid).boxed()
    }

    fn create_and_start<'a>(
        &'a self,
        pod_uid: &'a str,
        config: ContainerConfig,
    ) -> RuntimeFuture<'a, ContainerStatus> {
        self.status_after(pod_uid, Request::Start(Box::new(config))).boxed()
    }

    fn kill<'a>(&'a self, id: &'a ContainerId, signal: i32) -> RuntimeFuture<'a, ()> {
        self.done_after(&id.pod_uid, Request::Signal { container: key(id), signal }).boxed()
    }

    fn stop<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> RuntimeFuture<'a, ContainerStatus> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.status_after(&id.pod_uid, Request::Stop { container: key(id), grace_ms }).boxed()
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, config: ExecConfig) -> RuntimeFuture<'a, Exec> {
        self.start_exec(id, config).boxed()
    }

    fn attach<'a>(&'a self, id: &'a ContainerId, config: AttachConfig) -> RuntimeFuture<'a, Streams> {
        self.attach_streams(id, config).boxed()
    }

    fn remove<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, ()> {
        self.forget(id).boxed()
    }

    fn status<'a>(&'a self, id: &'a ContainerId) -> RuntimeFuture<'a, Option<ContainerStatus>> {
        self.one_status(id).boxed()
    }

    fn list(&self) -> RuntimeFuture<'_, Vec<SandboxStatus>> {
        let pods: Vec<Pod> = self.shared.pods().values().cloned().collect();
        async move {
            let mut all = Vec::new();
            for pod in &pods {
                all.push(watcher::status_of(pod).await);
            }
            Ok(all)
        }
        .boxed()
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.shared.events.subscribe()
    }
}

impl Shared {
    fn pods(&self) -> MutexGuard<'_, BTreeMap<String, Pod>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pod(&self, uid: &str) -> Option<Pod> {
        self.pods().get(uid).cloned()
    }

    fn insert(&self, config: &SandboxConfig, running: bool) {
        self.pods().insert(config.uid.clone(), Pod { config: config.clone(), running, removing: false });
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Pod)) {
        if let Some(pod) = self.pods().get_mut(uid) {
            change(pod);
        }
    }

    /// Nobody listening is fine: the agent lists before it listens.
    fn tell(&self, event: RuntimeEvent) {
        drop(self.events.send(event));
    }
}

fn key(id: &ContainerId) -> String {
    record::key(&id.name, id.attempt)
}

/// Runs what blocks beside the async runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(RuntimeError::io("running", Path::new("a blocking task"))(e.into())),
    }
}
