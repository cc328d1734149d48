//! What a Deployment does next: pkg/controller/deployment/{deployment_controller,sync,rolling,recreate,progress}.go.

use super::bounds::{is_rolling, max_surge, max_unavailable};
use super::history::surplus;
use super::member::{Member, same_template, template_hash};
use super::scale;
use super::status::{
    self, PROGRESSING, TIMED_OUT, condition, counted, deadline, find, is_complete, judge_progress,
    note_failures, set,
};
use crate::queue::Next;
use crate::recorder::Note;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSet,
};
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// All that there is to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// The ReplicaSets as they are to be, the new one last; those without `current` are to be created.
    pub(super) members: Vec<Member>,
    /// Old ReplicaSets beyond the history limit.
    pub(super) delete: Vec<Arc<ReplicaSet>>,
    /// The Deployment's revision annotation.
    pub(super) revision: Option<String>,
    /// The status as it is to be.
    pub(super) status: DeploymentStatus,
    /// Events.
    pub(super) notes: Vec<Note>,
    /// When time alone will change something.
    pub(super) next: Next,
}

/// A rollout being planned.
pub(super) struct Rollout<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) spec: &'a DeploymentSpec,
    /// `spec.replicas`.
    pub(super) wanted: i32,
    /// Oldest first.
    pub(super) old: Vec<Member>,
    pub(super) new: Option<Member>,
    pub(super) notes: Vec<Note>,
    conditions: Vec<DeploymentCondition>,
    now: Timestamp,
}

/// Plans the next step. `sets` are the ReplicaSets it owns; `old_pods_run` tells of Pods that do not belong to a set,
/// given by the set's uid.
pub(super) fn plan(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    sets: &[Arc<ReplicaSet>],
    pods_of_others: impl Fn(Option<&str>) -> bool,
    now: Timestamp,
) -> Plan {
    let mut rollout = Rollout::new(deployment, spec, sets, now);
    let mut delete = Vec::new();
    let former = deployment.status.clone().unwrap_or_default();
    if deployment.metadata.deletion_timestamp.is_some() {
        return rollout.finish(delete, false);
    }
    rollout.note_pause();
    rollout.note_new_set();
    let paused = spec.paused == Some(true);
    if paused || rollout.was_scaled() {
        scale::scale(&mut rollout);
        if paused {
            delete = surplus(rollout.spec, &rollout.old);
        }
        return rollout.finish(delete, false);
    }
    if is_rolling(spec) {
        rollout.roll()
    } else {
        rollout.recreate(&pods_of_others)
    }
    if is_complete(deployment, rollout.wanted, &former) {
        delete = surplus(rollout.spec, &rollout.old);
    }
    rollout.finish(delete, true)
}

impl<'a> Rollout<'a> {
    fn new(
        deployment: &'a Deployment,
        spec: &'a DeploymentSpec,
        sets: &[Arc<ReplicaSet>],
        now: Timestamp,
    ) -> Self {
        let mut members: Vec<Member> = sets.iter().map(Member::of).collect();
        members.sort_by(|a, b| a.created().cmp(&b.created()).then_with(|| a.name.cmp(&b.name)));
        let is_new = |member: &Member| {
            let set = member.current.as_ref().and_then(|set| set.spec.as_ref());
            set.and_then(|set| set.template.as_ref())
                .is_some_and(|template| same_template(template, &spec.template))
        };
        let new = members.iter().position(is_new).map(|index| members.remove(index));
        let conditions =
            deployment.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        let wanted = spec.replicas.unwrap_or(1);
        Self { deployment, spec, wanted, old: members, new, notes: Vec::new(), conditions, now }
    }

    /// The sum of the planned replicas.
    pub(super) fn total(&self) -> i32 {
        self.old.iter().chain(&self.new).map(|member| member.replicas).sum()
    }

    /// Plans a new size for a member and says so.
    pub(super) fn resize(notes: &mut Vec<Note>, spec: &DeploymentSpec, member: &mut Member, replicas: i32) {
        if member.replicas == replicas {
            return;
        }
        let direction = if member.replicas < replicas { "up" } else { "down" };
        let text =
            format!("Scaled {direction} replica set {} from {} to {replicas}", member.name, member.replicas);
        notes.push(Note::normal("ScalingReplicaSet", text));
        member.replicas = replicas;
        member.note_bounds(spec);
    }

    fn note_pause(&mut self) {
        let current = find(&self.conditions, PROGRESSING).and_then(|condition| condition.reason.as_deref());
        if deadline(self.spec).is_none() || current == Some(TIMED_OUT) {
            return;
        }
        let was_paused = current == Some("DeploymentPaused");
        let news = match (self.spec.paused == Some(true), was_paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        set(&mut self.conditions, condition(PROGRESSING, "Unknown", news.0, news.1.to_owned(), self.now));
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(Member::revision).max().unwrap_or(0) + 1
    }

    /// The set of the present template carries the highest revision.
    fn note_new_set(&mut self) {
        let revision = self.next_revision();
        let Some(new) = &mut self.new else { return };
        new.note_revision(self.deployment, revision);
        new.min_ready_seconds = self.spec.min_ready_seconds.unwrap_or(0);
        if deadline(self.spec).is_some() && find(&self.conditions, PROGRESSING).is_none() {
            let message = format!("Found new replica set \"{}\"", new.name);
            set(
                &mut self.conditions,
                condition(PROGRESSING, "True", "FoundNewReplicaSet", message, self.now),
            );
        }
    }

    fn create_new_set(&mut self) {
        let collisions =
            self.deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        let mut new = Member {
            name: format!("{name}-{}", template_hash(&self.spec.template, collisions)),
            replicas: 0,
            annotations: std::collections::BTreeMap::new(),
            min_ready_seconds: self.spec.min_ready_seconds.unwrap_or(0),
            current: None,
        };
        new.note_revision(self.deployment, self.next_revision());
        new.note_bounds(self.spec);
        if deadline(self.spec).is_some() {
            let message = format!("Created new replica set \"{}\"", new.name);
            set(
                &mut self.conditions,
                condition(PROGRESSING, "True", "NewReplicaSetCreated", message, self.now),
            );
        }
        self.new = Some(new);
        let replicas = self.new_set_size();
        if let Some(new) = &mut self.new {
            Self::resize(&mut self.notes, self.spec, new, replicas);
        }
    }

    /// As many as the surge allows.
    fn new_set_size(&self) -> i32 {
        let present = self.new.as_ref().map_or(0, |new| new.replicas);
        if !is_rolling(self.spec) {
            return self.wanted;
        }
        let room = self.wanted + max_surge(self.spec) - self.total();
        if room <= 0 { present } else { present + room.min(self.wanted - present) }
    }

    /// True if the number of replicas was changed since the sets were last scaled: that is not a rollout.
    fn was_scaled(&self) -> bool {
        let active = self.old.iter().chain(&self.new).filter(|member| member.replicas > 0);
        active.filter_map(Member::desired).any(|desired| desired != self.wanted)
    }

    fn roll(&mut self) {
        if self.new.is_none() {
            self.create_new_set();
        }
        let size = self.new_set_size();
        if let Some(new) = &mut self.new {
            let size = if new.replicas > self.wanted { self.wanted } else { size };
            if new.current.is_some() && new.replicas != size {
                return Self::resize(&mut self.notes, self.spec, new, size);
            }
        }
        self.shrink_old();
    }

    /// Old Pods go as far as availability allows: first those that serve nobody.
    fn shrink_old(&mut self) {
        let minimum = self.wanted - max_unavailable(self.spec);
        let new_unavailable = self.new.as_ref().map_or(0, |new| new.replicas - new.available());
        let mut budget = self.total() - minimum - new_unavailable;
        if budget <= 0 {
            return;
        }
        for member in self.old.iter_mut().filter(|member| member.replicas > 0) {
            let idle = (member.replicas - member.available()).clamp(0, budget);
            budget -= idle;
            Self::resize(&mut self.notes, self.spec, member, member.replicas - idle);
        }
        let available: i32 = self.old.iter().chain(&self.new).map(Member::available).sum();
        let mut budget = (available - minimum).max(0);
        for member in self.old.iter_mut().filter(|member| member.replicas > 0) {
            let step = member.replicas.min(budget);
            budget -= step;
            Self::resize(&mut self.notes, self.spec, member, member.replicas - step);
        }
    }

    fn recreate(&mut self, pods_of_others: &impl Fn(Option<&str>) -> bool) {
        let mut shrunk = false;
        for member in self.old.iter_mut().filter(|member| member.replicas > 0) {
            Self::resize(&mut self.notes, self.spec, member, 0);
            shrunk = true;
        }
        let uid = self
            .new
            .as_ref()
            .and_then(|new| new.current.as_ref())
            .and_then(|set| set.metadata.uid.as_deref());
        let old_counts =
            self.old.iter().any(|member| member.status().is_some_and(|status| status.replicas > 0));
        if shrunk || old_counts || pods_of_others(uid) {
            return;
        }
        if self.new.is_none() {
            self.create_new_set();
        }
        if let Some(new) = &mut self.new {
            Self::resize(&mut self.notes, self.spec, new, self.wanted);
        }
    }

    fn finish(self, delete: Vec<Arc<ReplicaSet>>, rolling_out: bool) -> Plan {
        let former = self.deployment.status.clone().unwrap_or_default();
        let members: Vec<&Member> = self.old.iter().chain(&self.new).collect();
        let new = self.new.as_ref();
        let mut status = counted(self.deployment, self.spec, &members, new, self.conditions, self.now);
        if rolling_out {
            judge_progress(self.deployment, self.spec, &former, &mut status, new, self.now);
            note_failures(&mut status, &members, new);
        }
        let revision = new.map(|new| new.revision().to_string());
        let next =
            if rolling_out { next_look(self.deployment, self.spec, &status, self.now) } else { Next::Wait };
        let members = self.old.into_iter().chain(self.new).collect();
        Plan { members, delete, revision, status, notes: self.notes, next }
    }
}

/// When the deadline will have passed.
fn next_look(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Next {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let (Some(deadline), Some(current)) = (deadline(spec), find(conditions, PROGRESSING)) else {
        return Next::Wait;
    };
    let settled = [Some(TIMED_OUT), Some(status::NEW_SET_AVAILABLE)].contains(&current.reason.as_deref());
    if settled || is_complete(deployment, spec.replicas.unwrap_or(1), status) {
        return Next::Wait;
    }
    let from = current.last_update_time.as_ref().map_or(now, |time| time.0);
    let left = Duration::try_from((from + deadline).duration_since(now)).unwrap_or_default();
    Next::After(left + Duration::from_secs(1))
}
