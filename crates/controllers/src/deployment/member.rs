//! A ReplicaSet of a Deployment: what it is and what the plan makes of it.

use super::bounds::max_surge;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
/// What a set remembers of its Deployment's bounds, for tests.
#[cfg(test)]
pub(super) const MEMBER_ANNOTATIONS: [&str; 2] = [DESIRED, MAXIMUM];
/// The label that tells the Pods of one template from those of another.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that its ReplicaSets do not take over.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];
/// Longest revision history, in characters.
const HISTORY_LIMIT: usize = 2000;

/// A ReplicaSet that is there, or is to be created.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// Planned.
    pub(super) replicas: i32,
    /// Planned, all of them.
    pub(super) annotations: BTreeMap<String, String>,
    /// Planned.
    pub(super) min_ready_seconds: i32,
    /// What is there.
    pub(super) current: Option<Arc<ReplicaSet>>,
}

impl Member {
    pub(super) fn of(set: &Arc<ReplicaSet>) -> Self {
        let spec = set.spec.as_ref();
        Self {
            name: set.metadata.name.clone().unwrap_or_default(),
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
            min_ready_seconds: spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0),
            current: Some(set.clone()),
        }
    }

    pub(super) fn created(&self) -> Timestamp {
        let time = self.current.as_ref().and_then(|set| set.metadata.creation_timestamp.as_ref());
        time.map_or(Timestamp::MAX, |time| time.0)
    }

    pub(super) fn status(&self) -> Option<&ReplicaSetStatus> {
        self.current.as_ref().and_then(|set| set.status.as_ref())
    }

    pub(super) fn available(&self) -> i32 {
        self.status().and_then(|status| status.available_replicas).unwrap_or(0)
    }

    pub(super) fn revision(&self) -> i64 {
        self.annotations.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn number(&self, annotation: &str) -> Option<i32> {
        self.annotations.get(annotation).and_then(|text| text.parse().ok())
    }

    /// The Deployment's `replicas` when it last scaled this set.
    pub(super) fn desired(&self) -> Option<i32> {
        self.number(DESIRED)
    }

    /// The most Pods that the Deployment allowed when it last scaled this set.
    pub(super) fn maximum(&self) -> Option<i32> {
        self.number(MAXIMUM)
    }

    /// Notes for later what the Deployment wants now.
    pub(super) fn note_bounds(&mut self, spec: &DeploymentSpec) {
        let replicas = spec.replicas.unwrap_or(1);
        self.annotations.insert(DESIRED.to_owned(), replicas.to_string());
        self.annotations.insert(MAXIMUM.to_owned(), (replicas + max_surge(spec)).to_string());
    }

    /// Takes over the Deployment's annotations and, if it is not the newest yet, the next revision.
    pub(super) fn note_revision(&mut self, deployment: &Deployment, revision: i64) {
        for (key, value) in deployment.metadata.annotations.iter().flatten() {
            if !NOT_COPIED.contains(&key.as_str()) {
                self.annotations.insert(key.clone(), value.clone());
            }
        }
        if self.revision() >= revision {
            return;
        }
        if let Some(former) = self.annotations.insert(REVISION.to_owned(), revision.to_string()) {
            let history = self.annotations.remove(REVISION_HISTORY).unwrap_or_default();
            let mut all: Vec<&str> = history.split(',').filter(|part| !part.is_empty()).collect();
            all.push(&former);
            while all.iter().map(|part| part.len() + 1).sum::<usize>() > HISTORY_LIMIT {
                all.remove(0);
            }
            self.annotations.insert(REVISION_HISTORY.to_owned(), all.join(","));
        }
    }

    /// The merge patch that carries the plan out, if anything changes.
    pub(super) fn patch(&self) -> Option<Value> {
        let set = self.current.as_ref()?;
        let before = Self::of(set);
        let mut patch = json!({});
        if before.replicas != self.replicas {
            patch["spec"]["replicas"] = self.replicas.into();
        }
        if before.min_ready_seconds != self.min_ready_seconds {
            patch["spec"]["minReadySeconds"] = self.min_ready_seconds.into();
        }
        if let Some(annotations) =
            crate::patch::difference(&json!(before.annotations), &json!(self.annotations))
        {
            patch["metadata"]["annotations"] = annotations;
        }
        if patch == json!({}) {
            return None;
        }
        patch["metadata"]["uid"] = json!(set.metadata.uid);
        Some(patch)
    }
}

/// True if two templates make the same Pods.
pub(super) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let plain = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let mut metadata = template.metadata.take().unwrap_or_default();
        metadata.creation_timestamp = None;
        if let Some(labels) = &mut metadata.labels {
            labels.remove(TEMPLATE_HASH);
        }
        metadata.labels = metadata.labels.filter(|labels| !labels.is_empty());
        metadata.annotations = metadata.annotations.filter(|annotations| !annotations.is_empty());
        template.metadata = Some(metadata);
        template
    };
    plain(a) == plain(b)
}

/// A name for a template: FNV-1a of its JSON, spelled without vowels so that it makes no words.
pub(super) fn template_hash(template: &PodTemplateSpec, collisions: i32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = json!(template).to_string();
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
    let mut hash = text.as_bytes().iter().fold(2_166_136_261, step);
    if collisions > 0 {
        hash = collisions.to_le_bytes().iter().fold(hash, step);
    }
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(value: Value) -> PodTemplateSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn templates() {
        let a = template(json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}));
        let hashed = template(
            json!({"metadata": {"labels": {"app": "a", TEMPLATE_HASH: "x"}, "creationTimestamp": null}, "spec": {"containers": []}}),
        );
        let b = template(json!({"metadata": {"labels": {"app": "b"}}, "spec": {"containers": []}}));
        assert!(same_template(&a, &hashed) && !same_template(&a, &b));
        assert_ne!(template_hash(&a, 0), template_hash(&b, 0));
        assert_ne!(template_hash(&a, 0), template_hash(&a, 1));
        assert!(template_hash(&a, 0).bytes().all(|c| b"bcdfghjklmnpqrstvwxz2456789".contains(&c)));
    }

    #[test]
    fn revisions_keep_their_history() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"annotations": {"kubernetes.io/change-cause": "new image", REVISION: "7"}},
        }))
        .unwrap();
        let set =
            json!({"metadata": {"name": "s", "annotations": {REVISION: "1"}}, "spec": {"selector": {}}});
        let mut member = Member::of(&Arc::new(serde_json::from_value(set).unwrap()));
        member.note_revision(&deployment, 3);
        member.note_revision(&deployment, 5);
        member.note_revision(&deployment, 5);
        assert_eq!(member.annotations[REVISION], "5");
        assert_eq!(member.annotations[REVISION_HISTORY], "1,3");
        assert_eq!(member.annotations["kubernetes.io/change-cause"], "new image");
    }
}
