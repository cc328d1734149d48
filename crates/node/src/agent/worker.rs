//! The task of one Pod: a mailbox, a state, and a plan after every message.
//!
//! Invariant: nothing here waits for anything but the mailbox and the plan's own alarm. Whatever takes time is a task that
//! reports back, so a Pod that pulls, probes or dies slowly still hears that it is deleted.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::context::{Context, uid};
use super::plan::plan;
use super::probe::ProbeKind;
use super::probe::worker::{ProbeReport, RunningProbe};
use super::setup::{SetUpError, Surroundings};
use super::start::StartFailure;
use super::state::{ContainerView, PodState, containers, terminating};
use super::status::container::not_yet;
use crate::runtime::{ContainerStatus, SandboxStatus};
use crate::tunnel::{Attempt, Known};

/// What a Pod's task is told.
pub(crate) enum Message {
    /// The Pod as it is now.
    Pod(Arc<Pod>),
    /// Its object is no more.
    Gone,
    /// A container started or ended.
    Container(Box<ContainerStatus>),
    /// What the runtime has, after something was missed or the shim died.
    Resync(Option<Box<SandboxStatus>>),
    /// A probe's result.
    Probe(ProbeReport),
    /// The surroundings are made (again), or not.
    SetUp(Box<Result<Surroundings, SetUpError>>),
    /// An attempt was started, or not.
    Started {
        /// Which container.
        container: String,
        /// How it went.
        result: Box<Result<ContainerStatus, StartFailure>>,
    },
    /// A stop came to its end.
    Stopped {
        /// Which container.
        container: String,
        /// Its last status, if there is such a container.
        result: Box<Result<Option<ContainerStatus>, String>>,
    },
    /// Network and sandbox are removed.
    TornDown,
    /// Files and object are removed.
    Finished,
    /// A status was written, or why not.
    StatusWritten(Result<Box<PodStatus>, StatusError>),
}

/// Why a status was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusError {
    /// The Pod is no more, or another one has its name.
    NoSuchPod,
    /// Try again.
    Later,
}

/// One Pod's task.
pub(super) struct Worker {
    pub(super) context: Arc<Context>,
    pub(super) pod: Arc<Pod>,
    pub(super) state: PodState,
    pub(super) around: Option<Arc<Surroundings>>,
    pub(super) probes: HashMap<(String, ProbeKind), RunningProbe>,
    pub(super) me: mpsc::UnboundedSender<Message>,
    /// Tasks under way; they end with the worker.
    pub(super) tasks: Vec<AbortOnDropHandle<()>>,
    pub(super) writing: Writing,
    pub(super) finishing: bool,
    pub(super) refreshing: bool,
    pub(super) setup_failures: u32,
    pub(super) done: bool,
}

/// The state of writing statuses.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// What was written last.
    pub(super) last: Option<PodStatus>,
    /// When that was.
    pub(super) written: Option<Timestamp>,
    /// A write is under way.
    pub(super) busy: bool,
    /// After a failure: not before.
    pub(super) retry: Option<Timestamp>,
    pub(super) failures: u32,
}

impl Worker {
    pub(super) fn new(
        context: Arc<Context>,
        pod: Arc<Pod>,
        state: PodState,
        me: mpsc::UnboundedSender<Message>,
    ) -> Self {
        Self {
            context,
            pod,
            state,
            around: None,
            probes: HashMap::new(),
            me,
            tasks: Vec::new(),
            writing: Writing::default(),
            finishing: false,
            refreshing: false,
            setup_failures: 0,
            done: false,
        }
    }

    /// Runs until the Pod is over.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        self.take_over();
        loop {
            let now = Timestamp::now();
            let plan = plan(&self.pod, &self.state, now);
            let mut wake = plan.wake;
            for action in plan.actions {
                self.perform(action, now);
            }
            wake = [wake, self.refresh_volumes(now), self.write_status(now)].into_iter().flatten().min();
            self.publish();
            if self.done {
                self.context.directory.remove(uid(&self.pod));
                return;
            }
            let alarm = async {
                match wake {
                    Some(at) => tokio::time::sleep(until(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = inbox.recv() => {
                    let Some(message) = message else { return };
                    self.take(message);
                }
                () = alarm => {}
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
            self.tasks.retain(|task| !task.is_finished());
        }
    }

    /// Tells the tunnel what there is.
    fn publish(&self) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let containers = containers(&self.pod).map(|(_, spec)| {
            let view = self.state.containers.get(&spec.name);
            let waiting = view.and_then(|v| v.waiting.as_ref()).map(|w| w.reason.clone());
            let attempt = Attempt {
                number: view.and_then(|v| v.current.as_ref()).map(|c| c.id.attempt),
                running: view.is_some_and(ContainerView::running),
                waiting: waiting.unwrap_or_else(|| not_yet(&self.pod).to_owned()),
            };
            (spec.name.clone(), attempt)
        });
        let known = Known {
            namespace: text(&self.pod.metadata.namespace),
            name: text(&self.pod.metadata.name),
            containers: containers.collect(),
            ending: terminating(&self.pod, &self.state),
        };
        self.context.directory.set(uid(&self.pod), known);
    }

    /// Runs `task` beside the worker and takes its message.
    pub(super) fn spawn(&mut self, task: impl Future<Output = Message> + Send + 'static) {
        let me = self.me.clone();
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            // The worker may be gone: then nobody needs the message.
            let _ = me.send(task.await);
        })));
    }
}

/// From now until then, at least a millisecond so that a clock's rounding makes no loop.
fn until(at: Timestamp) -> std::time::Duration {
    let left = at.duration_since(Timestamp::now());
    std::time::Duration::try_from(left).unwrap_or_default().max(std::time::Duration::from_millis(1))
}
