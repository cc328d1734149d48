//! The Pod agent: it makes the Pods that are bound to this node run, and says how they are.
//!
//! One watch feeds one task per Pod ([`worker`]). A task's state changes by messages only; what to do next is planned by
//! a pure function ([`plan`]), and what the API shows is derived by another ([`status`]).

mod backoff;
pub(crate) mod context;
mod env;
pub(crate) mod events;
mod fields;
mod image;
mod mounts;
mod perform;
mod plan;
pub(crate) mod probe;
mod probing;
mod pull_secrets;
pub(crate) mod quantity;
mod react;
mod recover;
mod resolv;
mod security;
mod setup;
mod start;
mod state;
mod status;
mod volumes;
mod worker;
mod write;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use fields::Allocatable;
pub(crate) use resolv::ResolvConf;
pub(crate) use start::log_path;
pub(crate) use volumes::{Tokens, tear_down_all as tear_down_volumes};

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher::{Config as WatchConfig, Event, watcher};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use self::context::{Context, uid};
use self::recover::recover;
use self::state::host_network;
use self::worker::{Message, Worker};
use crate::backoff::backed_off;
use crate::runtime::{RuntimeError, RuntimeEvent, SandboxStatus};

/// The node's Pods and their tasks.
struct Agent {
    context: Arc<Context>,
    workers: HashMap<String, Handle>,
    ended: mpsc::UnboundedSender<String>,
    /// What the runtime had when the agent started, until a worker takes it.
    found: HashMap<String, SandboxStatus>,
}

struct Handle {
    mailbox: mpsc::UnboundedSender<Message>,
    /// Seen in the present listing.
    listed: bool,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

/// Runs the Pods of this node until `shutdown`; their containers go on without the agent.
///
/// # Errors
/// When the runtime cannot be asked what there is.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) -> Result<(), RuntimeError> {
    let mut events = context.runtime.events();
    let found = context.runtime.list().await?;
    let (ended, mut endings) = mpsc::unbounded_channel();
    let found = found.into_iter().map(|s| (s.config.uid.clone(), s)).collect();
    let mut agent = Agent { context: context.clone(), workers: HashMap::new(), ended, found };
    let api: Api<Pod> = Api::all(context.client.clone());
    let selector = format!("spec.nodeName={}", context.config.node_name);
    let mut pods = std::pin::pin!(backed_off(watcher(api, WatchConfig::default().fields(&selector))));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = pods.next() => match event {
                Some(Ok(event)) => agent.pod_event(event).await,
                Some(Err(error)) => tracing::debug!(%error, "the watch of Pods is interrupted"),
                None => return Ok(()),
            },
            event = events.recv() => agent.runtime_event(event).await,
            Some(uid) = endings.recv() => {
                agent.workers.remove(&uid);
            }
        }
    }
}

impl Agent {
    async fn pod_event(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.workers.values_mut().for_each(|w| w.listed = false),
            Event::InitApply(pod) | Event::Apply(pod) => self.tell(pod),
            Event::Delete(pod) => self.gone(uid(&pod)),
            Event::InitDone => {
                let unlisted: Vec<String> =
                    self.workers.iter().filter(|(_, w)| !w.listed).map(|(uid, _)| uid.clone()).collect();
                for uid in unlisted {
                    self.gone(&uid);
                }
                self.remove_orphans().await;
            }
        }
    }

    fn tell(&mut self, pod: Pod) {
        let uid = uid(&pod).to_owned();
        let pod = Arc::new(pod);
        if let Some(worker) = self.workers.get_mut(&uid) {
            worker.listed = true;
            // A worker that just ended is replaced by the next event, if there is one.
            let _ = worker.mailbox.send(Message::Pod(pod));
            return;
        }
        let found = self.found.remove(&uid);
        let networked = host_network(&pod) || self.context.network.find(&uid).is_some();
        let state = recover(&pod, found.as_ref(), networked, Timestamp::now());
        let (mailbox, inbox) = mpsc::unbounded_channel();
        let worker = Worker::new(self.context.clone(), pod, state, mailbox.clone());
        let (ended, name) = (self.ended.clone(), uid.clone());
        let task = tokio::spawn(async move {
            worker.run(inbox).await;
            let _ = ended.send(name);
        });
        self.workers.insert(
            uid,
            Handle { mailbox, listed: true, _task: tokio_util::task::AbortOnDropHandle::new(task) },
        );
    }

    fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.workers.get(uid) {
            let _ = worker.mailbox.send(Message::Gone);
        }
    }

    /// Removes Pods whose objects went while no agent ran.
    async fn remove_orphans(&mut self) {
        let mut orphans: Vec<String> = self.found.drain().map(|(uid, _)| uid).collect();
        match self.context.network.uids() {
            Ok(uids) => orphans.extend(uids.into_iter().filter(|uid| !self.workers.contains_key(uid))),
            Err(error) => tracing::warn!(%error, "cannot list Pod networks"),
        }
        orphans.sort();
        orphans.dedup();
        for uid in orphans {
            let context = self.context.clone();
            tokio::spawn(async move {
                let removed = async {
                    context.runtime.remove_sandbox(&uid).await.map_err(|e| e.to_string())?;
                    context.network.teardown(&uid).await.map_err(|e| e.to_string())?;
                    setup::remove_files(&context, &uid).await
                };
                if let Err(error) = removed.await {
                    tracing::warn!(pod = uid, %error, "cannot remove a Pod that is no more");
                }
            });
        }
    }

    async fn runtime_event(&mut self, event: Result<RuntimeEvent, broadcast::error::RecvError>) {
        match event {
            Ok(RuntimeEvent::Started(status) | RuntimeEvent::Exited(status)) => {
                if let Some(worker) = self.workers.get(&status.id.pod_uid) {
                    let _ = worker.mailbox.send(Message::Container(Box::new(status)));
                }
            }
            Ok(RuntimeEvent::SandboxGone { pod_uid }) => self.resync(Some(&pod_uid)).await,
            Err(broadcast::error::RecvError::Lagged(_)) => self.resync(None).await,
            // The runtime lives as long as the agent.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    /// Tells one worker, or all, what the runtime has.
    async fn resync(&mut self, only: Option<&str>) {
        let all = match self.context.runtime.list().await {
            Ok(all) => all,
            Err(error) => return tracing::warn!(%error, "cannot list containers"),
        };
        let mut all: HashMap<String, SandboxStatus> =
            all.into_iter().map(|s| (s.config.uid.clone(), s)).collect();
        for (uid, worker) in self.workers.iter().filter(|(uid, _)| only.is_none_or(|o| o == *uid)) {
            let _ = worker.mailbox.send(Message::Resync(all.remove(uid).map(Box::new)));
        }
    }
}
