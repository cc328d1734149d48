//! Which old ReplicaSets are no longer kept for a rollback.

use super::member::Member;
use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet};
use std::sync::Arc;

/// Old, empty, settled sets beyond the history limit, the oldest revisions.
pub(super) fn surplus(spec: &DeploymentSpec, old: &[Member]) -> Vec<Arc<ReplicaSet>> {
    let limit = spec.revision_history_limit.unwrap_or(10);
    let mut sets: Vec<&Member> = old.iter().collect();
    sets.retain(|m| m.current.as_ref().is_some_and(|set| set.metadata.deletion_timestamp.is_none()));
    let surplus = sets.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    if limit == i32::MAX {
        return Vec::new();
    }
    sets.sort_by_key(|member| (member.revision(), member.created()));
    let candidates = sets.into_iter().take(surplus).filter(|member| member.replicas == 0);
    candidates
        .filter_map(|member| member.current.clone())
        .filter(|set| {
            let spec = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = set.status.clone().unwrap_or_default();
            spec == 0 && status.replicas == 0 && status.observed_generation >= set.metadata.generation
        })
        .collect()
}
