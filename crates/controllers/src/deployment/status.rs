//! The status of a Deployment: counts and the conditions Available, Progressing and ReplicaFailure.

use super::bounds::max_unavailable;
use super::member::Member;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// `progressDeadlineSeconds`, unless progress is not watched.
pub(super) fn deadline(spec: &DeploymentSpec) -> Option<SignedDuration> {
    let seconds = spec.progress_deadline_seconds.unwrap_or(i32::MAX);
    (seconds != i32::MAX).then(|| SignedDuration::from_secs(seconds.into()))
}

/// A condition as of now.
pub(super) fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The condition of a type.
pub(super) fn find<'a>(conditions: &'a [DeploymentCondition], kind: &str) -> Option<&'a DeploymentCondition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Sets a condition unless it says so already; its transition time is that of its status.
pub(super) fn set(conditions: &mut Vec<DeploymentCondition>, mut new: DeploymentCondition) {
    if let Some(old) = find(conditions, &new.type_) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.last_transition_time.clone_from(&old.last_transition_time);
        }
    }
    remove(conditions, &new.type_);
    conditions.push(new);
}

/// Removes a condition.
pub(super) fn remove(conditions: &mut Vec<DeploymentCondition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// Counts and availability.
pub(super) fn counted(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    members: &[&Member],
    new: Option<&Member>,
    mut conditions: Vec<DeploymentCondition>,
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |field: &dyn Fn(&Member) -> i32| members.iter().map(|member| field(member)).sum::<i32>();
    let available = sum(&Member::available);
    let unavailable = (sum(&|member| member.replicas) - available).max(0);
    let enough = available >= spec.replicas.unwrap_or(1) - max_unavailable(spec);
    let (status, reason, does) = if enough {
        ("True", "MinimumReplicasAvailable", "has")
    } else {
        ("False", "MinimumReplicasUnavailable", "does not have")
    };
    let message = format!("Deployment {does} minimum availability.");
    set(&mut conditions, condition("Available", status, reason, message, now));
    let counts = |number: i32| (number != 0).then_some(number);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: counts(sum(&|member| member.status().map_or(0, |status| status.replicas))),
        updated_replicas: counts(new.and_then(Member::status).map_or(0, |status| status.replicas)),
        ready_replicas: counts(sum(&|member| member.status().and_then(|s| s.ready_replicas).unwrap_or(0))),
        available_replicas: counts(available),
        unavailable_replicas: counts(unavailable),
        collision_count: deployment.status.as_ref().and_then(|status| status.collision_count),
        conditions: Some(conditions),
        ..DeploymentStatus::default()
    }
}

/// All wanted Pods are there, new and available, and nothing else is.
pub(super) fn is_complete(deployment: &Deployment, wanted: i32, status: &DeploymentStatus) -> bool {
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let n = |number: Option<i32>| number.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| n(status.replicas) - n(status.updated_replicas);
    n(new.updated_replicas) > n(old.updated_replicas)
        || outdated(new) < outdated(old)
        || n(new.ready_replicas) > n(old.ready_replicas)
        || n(new.available_replicas) > n(old.available_replicas)
}

/// True if the last progress is longer ago than the deadline.
fn has_timed_out(
    progressing: Option<&DeploymentCondition>,
    deadline: SignedDuration,
    now: Timestamp,
) -> bool {
    let Some(progressing) = progressing else { return false };
    match progressing.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => progressing.last_update_time.as_ref().is_some_and(|time| time.0 + deadline < now),
    }
}

/// Judges the progress of a rollout and writes it into the new status. `former` is the status before it.
pub(super) fn judge_progress(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    former: &DeploymentStatus,
    status: &mut DeploymentStatus,
    new: Option<&Member>,
    now: Timestamp,
) {
    let mut conditions = status.conditions.take().unwrap_or_default();
    let current = find(&conditions, PROGRESSING).cloned();
    let subject = new.map_or_else(
        || format!("Deployment \"{}\"", deployment.metadata.name.as_deref().unwrap_or_default()),
        |new| format!("ReplicaSet \"{}\"", new.name),
    );
    let was_done = current.as_ref().is_some_and(|c| c.reason.as_deref() == Some(NEW_SET_AVAILABLE))
        && status.replicas == status.updated_replicas;
    match deadline(spec) {
        None => remove(&mut conditions, PROGRESSING),
        Some(_) if was_done => {}
        Some(_) if is_complete(deployment, spec.replicas.unwrap_or(1), status) => {
            let message = format!("{subject} has successfully progressed.");
            set(&mut conditions, condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
        }
        Some(_) if has_progressed(former, status) => {
            let message = format!("{subject} is progressing.");
            let mut updated = condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
            if let Some(current) = current.filter(|current| current.status == "True") {
                updated.last_transition_time = current.last_transition_time;
            }
            remove(&mut conditions, PROGRESSING);
            conditions.push(updated);
        }
        Some(deadline) if has_timed_out(current.as_ref(), deadline, now) => {
            let message = format!("{subject} has timed out progressing.");
            set(&mut conditions, condition(PROGRESSING, "False", TIMED_OUT, message, now));
        }
        Some(_) => {}
    }
    status.conditions = Some(conditions);
}

/// Takes over what the ReplicaSets say about failures.
pub(super) fn note_failures(status: &mut DeploymentStatus, members: &[&Member], new: Option<&Member>) {
    let failure = |member: &Member| {
        let conditions = member.status().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().find(|c| c.type_ == "ReplicaFailure" && c.status == "True").cloned()
    };
    let found = new.and_then(failure).or_else(|| members.iter().find_map(|member| failure(member)));
    let mut conditions = status.conditions.take().unwrap_or_default();
    match found {
        Some(found) => {
            let time = found.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
            let (reason, message) = (found.reason.unwrap_or_default(), found.message.unwrap_or_default());
            set(&mut conditions, condition("ReplicaFailure", "True", &reason, message, time));
        }
        None => remove(&mut conditions, "ReplicaFailure"),
    }
    status.conditions = Some(conditions);
}
