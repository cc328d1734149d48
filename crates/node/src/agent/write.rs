//! Writing a Pod's status: only on change, by merge patch, one write at a time.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::status::status;
use super::worker::{Message, StatusError, Worker};

/// The conditions that only the agent writes.
const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// By then a status that was written has come back through the watch. If it says something else, another has overruled it, as the
/// node controller does with the Pods of a node that it does not hear.
const SEEN_AFTER: SignedDuration = SignedDuration::from_secs(3);

impl Worker {
    /// Writes the status if it changed, here or in the API; returns when to look again.
    pub(super) fn write_status(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.state.gone || self.writing.busy || self.finishing {
            return None;
        }
        let wanted = self.wanted(now);
        if self.is_written(&wanted) {
            let lost = self.pod.status.as_ref().is_some_and(|seen| own_words(seen) != own_words(&wanted));
            let seen_by = self.writing.written.map(|at| at + SEEN_AFTER).filter(|_| lost)?;
            if seen_by > now {
                return Some(seen_by);
            }
        }
        if let Some(retry) = self.writing.retry.filter(|retry| *retry > now) {
            return Some(retry);
        }
        self.writing.busy = true;
        let (client, pod) = (self.context.client.clone(), self.pod.clone());
        self.spawn(async move {
            Message::StatusWritten(write(client, &pod, &wanted).await.map(|()| Box::new(wanted)))
        });
        None
    }

    /// Whether the API has what the state says.
    pub(super) fn status_settled(&self) -> bool {
        !self.writing.busy && self.is_written(&self.wanted(Timestamp::now()))
    }

    fn wanted(&self, now: Timestamp) -> PodStatus {
        let mut base = Pod::clone(&self.pod);
        if let (Some(last), Some(seen)) = (&self.writing.last, base.status.as_mut()) {
            // What was written may not have come back through the watch; what others wrote has come no other way.
            seen.conditions = Some(newest(last.conditions.as_deref(), seen.conditions.as_deref()));
            seen.start_time.clone_from(&last.start_time);
        }
        status(&base, &self.state, &self.context.config.node_ips, now)
    }

    fn is_written(&self, wanted: &PodStatus) -> bool {
        let seen = self.writing.last.as_ref().or(self.pod.status.as_ref());
        seen.is_some_and(|seen| own_part(seen) == own_part(wanted))
    }
}

fn newest(written: Option<&[PodCondition]>, seen: Option<&[PodCondition]>) -> Vec<PodCondition> {
    let is_own = |c: &&PodCondition| OWN.contains(&c.type_.as_str());
    let own = written.into_iter().flatten().filter(is_own);
    own.chain(seen.into_iter().flatten().filter(|c| !is_own(c))).cloned().collect()
}

/// The fields that the agent writes; conditions of others are carried along but are no reason to write.
fn own_part(status: &PodStatus) -> Value {
    let mut value = body(status);
    if let Some(conditions) = value["conditions"].as_array_mut() {
        conditions.retain(|c| c["type"].as_str().is_some_and(|t| OWN.contains(&t)));
    }
    value
}

/// What the agent says in a status: the phase and its own conditions.
fn own_words(status: &PodStatus) -> (Option<&str>, Vec<(&str, &str)>) {
    let conditions = status.conditions.iter().flatten().filter(|c| OWN.contains(&c.type_.as_str()));
    let mut words: Vec<_> = conditions.map(|c| (c.type_.as_str(), c.status.as_str())).collect();
    words.sort_unstable();
    (status.phase.as_deref(), words)
}

/// The merge patch of a status: absent fields become null, so that they go.
fn body(status: &PodStatus) -> Value {
    json!({
        "phase": status.phase, "conditions": status.conditions, "reason": status.reason, "message": status.message,
        "containerStatuses": status.container_statuses, "initContainerStatuses": status.init_container_statuses,
        "hostIP": status.host_ip, "hostIPs": status.host_ips, "podIP": status.pod_ip, "podIPs": status.pod_ips,
        "startTime": status.start_time,
    })
}

async fn write(client: kube::Client, pod: &Pod, wanted: &PodStatus) -> Result<(), StatusError> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client, pod.metadata.namespace.as_deref().unwrap_or("default"));
    // The uid keeps a status from a Pod that has only the name in common.
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": body(wanted)});
    match api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(StatusError::NoSuchPod),
        Err(kube::Error::Api(status))
            if status.code == 409 && status.message.contains("UID in precondition") =>
        {
            Err(StatusError::NoSuchPod)
        }
        Err(error) => {
            tracing::warn!(pod = name, error = %super::context::text(&error), "cannot write a Pod's status");
            Err(StatusError::Later)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_conditions_come_from_what_was_written_others_from_the_watch() {
        let of = |list: &[(&str, &str)]| -> Vec<PodCondition> {
            let one = |(t, s): &(&str, &str)| PodCondition {
                type_: (*t).into(),
                status: (*s).into(),
                ..Default::default()
            };
            list.iter().map(one).collect()
        };
        let written = of(&[("Ready", "True"), ("PodScheduled", "True"), ("x/gate", "False")]);
        let seen = of(&[("Ready", "False"), ("PodScheduled", "True"), ("x/gate", "True")]);
        let got = newest(Some(&written), Some(&seen));
        assert_eq!(got, of(&[("Ready", "True"), ("PodScheduled", "True"), ("x/gate", "True")]));
    }

    #[test]
    fn absent_fields_are_removed() {
        let got = body(&PodStatus::default());
        assert!(got["podIP"].is_null() && got.as_object().unwrap().contains_key("podIP"));
    }

    #[test]
    fn a_foreign_condition_is_no_reason_to_write() {
        let gate = PodCondition { type_: "x/gate".into(), ..Default::default() };
        let status = PodStatus { conditions: Some(vec![gate]), ..Default::default() };
        assert_eq!(
            own_part(&status),
            own_part(&PodStatus { conditions: Some(vec![]), ..Default::default() })
        );
    }
}
