//! Keeps the Node object and its Lease up to date.

use std::future::Future;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::object::{Facts, conditions, labels, status};
use crate::agent::context::text;
use crate::backoff::Quick;
use crate::config::Config;

/// What the heart-beat depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Beat {
    /// The Pod network is set up.
    pub(crate) network_ready: bool,
}

/// Renewal of the Lease, as the kubelet's `nodeLeaseDurationSeconds / 4`.
const LEASE_EVERY: Duration = Duration::from_secs(10);
const LEASE_LIFE_S: i32 = 40;
/// How often the Node is looked at, as the kubelet's `nodeStatusUpdateFrequency`: somebody else may have changed its conditions,
/// as the node controller does when it hears nothing.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A request that takes longer is on a dead connection; the next one opens another.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How often a status is written without a change.
const STATUS_EVERY: Duration = Duration::from_secs(300);

/// Registers the node, then beats until `shutdown`.
pub(crate) async fn run(
    config: Config,
    facts: Facts,
    client: kube::Client,
    beats: watch::Receiver<Beat>,
    shutdown: CancellationToken,
) {
    let heart = Heart { config, facts, client };
    let work = async {
        let beat = *beats.borrow();
        heart.register(beat).await;
        tokio::join!(heart.keep_lease(), heart.keep_status(beats.clone()));
    };
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

/// An answer within [`REQUEST_LIMIT`], or an error; giving up closes the connection.
async fn limited<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| Err(kube::Error::Service(format!("no answer within {REQUEST_LIMIT:?}").into()));
    tokio::time::timeout(REQUEST_LIMIT, request).await.unwrap_or_else(late)
}

struct Heart {
    config: Config,
    facts: Facts,
    client: kube::Client,
}

impl Heart {
    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Creates the Node, or takes over the one that there is.
    async fn register(&self, beat: Beat) {
        let mut pauses = Quick::default();
        while let Err(error) = limited(self.try_register(beat)).await {
            tracing::warn!(error = %text(&error), "cannot register the node");
            tokio::time::sleep(pauses.next().unwrap_or(LEASE_EVERY)).await;
        }
    }

    async fn try_register(&self, beat: Beat) -> Result<(), kube::Error> {
        let mut full = status(&self.config, &self.facts);
        full["conditions"] = conditions(beat.network_ready, Timestamp::now(), |_, _| None);
        let labels = labels(&self.config, &self.facts);
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.config.node_name, "labels": labels}, "spec": {}, "status": full,
        });
        let node: Node = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        match self.nodes().create(&PostParams::default(), &node).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let patch = json!({"metadata": {"labels": labels}});
                let params = PatchParams::default();
                self.nodes().patch(&self.config.node_name, &params, &Patch::Strategic(patch)).await?;
                self.write_status(beat, true).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the status if it is `due` or a condition of ours is not what it should be; true if it was written.
    async fn write_status(&self, beat: Beat, due: bool) -> Result<bool, kube::Error> {
        let present = self.nodes().get(&self.config.node_name).await?;
        let old = present.status.and_then(|s| s.conditions).unwrap_or_default();
        let since = |kind: &str, status: &str| {
            let same = old.iter().find(|c| c.type_ == kind && c.status == status)?;
            same.last_transition_time.as_ref().map(|t| t.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        };
        let mut full = status(&self.config, &self.facts);
        let mut all = conditions(beat.network_ready, Timestamp::now(), since);
        if let Some(all) = all.as_array_mut() {
            let own: Vec<String> = all.iter().filter_map(|c| c["type"].as_str().map(str::to_owned)).collect();
            all.extend(old.iter().filter(|c| !own.contains(&c.type_)).map(|c| json!(c)));
        }
        let same =
            |c: &Value| old.iter().any(|o| c["type"] == json!(o.type_) && c["status"] == json!(o.status));
        if !due && all.as_array().is_some_and(|all| all.iter().all(same)) {
            return Ok(false);
        }
        full["conditions"] = all;
        let patch: Value = json!({"status": full});
        let params = PatchParams::default();
        self.nodes().patch_status(&self.config.node_name, &params, &Patch::Merge(patch)).await.map(|_| true)
    }

    /// Writes the status on every change, of ours or of somebody else, and every five minutes; a deleted Node is created again.
    async fn keep_status(&self, mut beats: watch::Receiver<Beat>) {
        let mut pauses = Quick::default();
        let mut written: Option<Instant> = None;
        loop {
            let beat = *beats.borrow_and_update();
            let due = written.is_none_or(|at| at.elapsed() >= STATUS_EVERY);
            let pause = match limited(self.write_status(beat, due)).await {
                Ok(wrote) => {
                    pauses = Quick::default();
                    written = if wrote { Some(Instant::now()) } else { written };
                    LOOK_EVERY
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.register(beat).await;
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::warn!(error = %text(&error), "cannot write the node's status");
                    pauses.next().unwrap_or(LEASE_EVERY)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = beats.changed() => {}
            }
        }
    }

    async fn keep_lease(&self) {
        let mut pauses = Quick::default();
        loop {
            let pause = match limited(self.renew_lease()).await {
                Ok(()) => {
                    pauses = Quick::default();
                    LEASE_EVERY
                }
                Err(error) => {
                    tracing::warn!(error = %text(&error), "cannot renew the node's lease");
                    pauses.next().unwrap_or(LEASE_EVERY)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew_lease(&self) -> Result<(), kube::Error> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let name = &self.config.node_name;
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let spec = json!({"holderIdentity": name, "leaseDurationSeconds": LEASE_LIFE_S, "renewTime": now});
        let patch = Patch::Merge(json!({"spec": spec}));
        match api.patch(name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => return other.map(drop),
        }
        // The Node owns its Lease, so that it goes with it.
        let uid = self.nodes().get(name).await?.metadata.uid;
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid});
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]}, "spec": spec,
        });
        let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
        api.create(&PostParams::default(), &lease).await.map(drop)
    }
}
