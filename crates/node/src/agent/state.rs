//! What the agent knows of one Pod: the runtime's records, probe results, and what is under way.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::backoff::Backoff;
use crate::runtime::{ContainerState, ContainerStatus};

/// One Pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodState {
    /// Network, volumes and the runtime's sandbox.
    pub(crate) sandbox: Sandbox,
    /// The Pod's addresses while it has a network, and after, for its status.
    pub(crate) addresses: Vec<IpAddr>,
    /// When the agent first saw the Pod.
    pub(crate) start_time: Option<Timestamp>,
    /// The object is gone from the API.
    pub(crate) gone: bool,
    /// Its containers and init containers by name.
    pub(crate) containers: BTreeMap<String, ContainerView>,
}

/// The stages of a Pod's surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// Not made yet, or lost.
    #[default]
    Absent,
    /// Being made.
    Starting,
    /// Containers can run.
    Ready,
    /// Making it failed; the next try is then.
    Failed {
        /// When to try again.
        retry: Timestamp,
    },
    /// Being removed.
    Stopping,
    /// Removed for good.
    Removed,
}

/// Why a container that should run does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// As in the container's status, such as `ErrImagePull`.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// When to try again.
    pub(crate) retry: Timestamp,
}

/// One container over all its attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerView {
    /// The newest attempt's number; it is also the restart count.
    pub(crate) attempt: Option<u32>,
    /// The newest attempt.
    pub(crate) current: Option<ContainerStatus>,
    /// The newest attempt before that.
    pub(crate) previous: Option<ContainerStatus>,
    /// The newest attempt belongs to a sandbox that is gone.
    pub(crate) stale: bool,
    /// Why the next attempt did not come about.
    pub(crate) waiting: Option<Waiting>,
    /// An attempt is being started.
    pub(crate) starting: bool,
    /// It is being stopped; ends by then.
    pub(crate) stopping: Option<Timestamp>,
    /// A probe or hook says that it must be restarted, with the text of the Killing event.
    pub(crate) must_stop: Option<String>,
    /// The readiness probe's opinion; true without a probe.
    pub(crate) ready: bool,
    /// The startup probe succeeded, or there is none.
    pub(crate) started: bool,
    /// Between restarts.
    pub(crate) restarts: Backoff,
    /// Between pulls.
    pub(crate) pulls: Backoff,
    /// The exit for which a BackOff event was written.
    pub(crate) backoff_told: Option<Timestamp>,
}

impl ContainerView {
    /// Whether its process runs.
    pub(crate) fn running(&self) -> bool {
        self.current.as_ref().is_some_and(|c| c.state != ContainerState::Exited)
    }

    /// How the newest attempt ended, if it did.
    pub(crate) fn exited(&self) -> Option<&ContainerStatus> {
        self.current.as_ref().filter(|c| c.state == ContainerState::Exited)
    }

    /// Whether it ended well, in the present sandbox.
    pub(crate) fn succeeded(&self) -> bool {
        !self.stale && self.exited().is_some_and(|c| c.exit_code == 0)
    }

    /// Whether a task works on it.
    pub(crate) fn busy(&self) -> bool {
        self.starting || self.stopping.is_some()
    }
}

/// What sort of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next one.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// The containers of `pod` in starting order.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
    let main = spec.map_or(&[][..], |s| &s.containers);
    let role = |c: &Container| {
        if c.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init }
    };
    init.iter().map(move |c| (role(c), c)).chain(main.iter().map(|c| (Role::Main, c)))
}

/// `spec.restartPolicy`.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always")
}

/// Whether the Pod is to end: its object has a deletion timestamp or is gone.
pub(crate) fn terminating(pod: &Pod, state: &PodState) -> bool {
    state.gone || pod.metadata.deletion_timestamp.is_some()
}

/// Whether the Pod uses its node's network.
pub(crate) fn host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|s| s.host_network).unwrap_or(false)
}
