//! Rollouts, step by step, against a simulated ReplicaSet controller.

use super::bounds::{max_surge, max_unavailable};
use super::member::{MEMBER_ANNOTATIONS, Member, REVISION};
use super::plan::{Plan, plan};
use super::status::find;
use crate::queue::Next;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// A cluster of one Deployment.
struct World {
    deployment: Value,
    sets: Vec<Value>,
    now: Timestamp,
    log: Vec<String>,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut deployment = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1, "annotations": {}},
            "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
                     "revisionHistoryLimit": 2,
                     "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}},
        });
        for (key, value) in spec.as_object().unwrap() {
            deployment["spec"][key] = value.clone();
        }
        Self { deployment, sets: Vec::new(), now: "2026-01-01T00:00:00Z".parse().unwrap(), log: Vec::new() }
    }

    fn deployment(&self) -> Deployment {
        serde_json::from_value(self.deployment.clone()).unwrap()
    }

    fn change(&mut self, pointer: &str, value: Value) {
        *self.deployment.pointer_mut(pointer).unwrap() = value;
        let generation = self.deployment["metadata"]["generation"].as_i64().unwrap();
        self.deployment["metadata"]["generation"] = json!(generation + 1);
    }

    fn image(&mut self, image: &str) {
        self.change("/spec/template/spec/containers/0/image", json!(image));
    }

    fn plan(&self) -> Plan {
        let deployment = self.deployment();
        let spec = deployment.spec.clone().unwrap();
        let sets: Vec<Arc<ReplicaSet>> =
            self.sets.iter().map(|set| Arc::new(serde_json::from_value(set.clone()).unwrap())).collect();
        plan(&deployment, &spec, &sets, |_| false, self.now)
    }

    /// One reconcile of the Deployment; what it logs are its events.
    fn step(&mut self) -> Plan {
        let plan = self.plan();
        for member in &plan.members {
            self.write(member);
        }
        self.sets.retain(|set| {
            !plan.delete.iter().any(|gone| json!(gone.metadata.name) == set["metadata"]["name"])
        });
        self.deployment["status"] = json!(plan.status);
        self.log.extend(plan.notes.iter().map(|note| note.message.clone()));
        self.now += k8s_openapi::jiff::SignedDuration::from_secs(1);
        plan
    }

    fn write(&mut self, member: &Member) {
        if member.current.is_none() {
            let mut template = self.deployment["spec"]["template"].clone();
            template["metadata"]["labels"]["pod-template-hash"] = json!("x");
            let created = self.now.to_string();
            self.sets.push(json!({
                "metadata": {"name": member.name, "uid": member.name, "creationTimestamp": created, "generation": 1},
                "spec": {"selector": {}, "template": template},
                "status": {"replicas": 0},
            }));
        }
        let set = self.sets.iter_mut().find(|set| set["metadata"]["name"] == json!(member.name)).unwrap();
        set["spec"]["replicas"] = json!(member.replicas);
        set["metadata"]["annotations"] = json!(member.annotations);
    }

    /// The ReplicaSet controller and the nodes: `ready` more Pods become ready, surplus ones go.
    fn settle(&mut self, mut ready: i64) {
        for set in &mut self.sets {
            let wanted = set["spec"]["replicas"].as_i64().unwrap();
            let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0).min(wanted);
            let more = (wanted - available).min(ready);
            ready -= more;
            set["status"] = json!({"observedGeneration": 1, "replicas": wanted, "readyReplicas": available + more, "availableReplicas": available + more});
        }
    }

    fn sum(&self, pointer: &str) -> i64 {
        self.sets.iter().filter_map(|set| set.pointer(pointer).and_then(Value::as_i64)).sum()
    }

    fn progressing(&self) -> String {
        let status = self.deployment().status.unwrap();
        find(&status.conditions.unwrap(), "Progressing").and_then(|c| c.reason.clone()).unwrap_or_default()
    }

    /// Rolls out until nothing changes, and holds the bounds at every step.
    fn roll(&mut self) {
        for _ in 0..100 {
            let before = (self.sets.clone(), self.deployment["status"]["conditions"].clone());
            self.step();
            let spec = self.deployment().spec.unwrap();
            let wanted = i64::from(spec.replicas.unwrap());
            let most = wanted + i64::from(max_surge(&spec));
            assert!(self.sum("/spec/replicas") <= most, "more than {most}: {:?}", self.log);
            self.settle(1);
            if before == (self.sets.clone(), self.deployment["status"]["conditions"].clone()) {
                return;
            }
        }
        panic!("never settles: {:?}", self.log);
    }
}

#[test]
fn the_first_rollout() {
    let mut world = World::new(json!({}));
    let first = world.step();
    let name = first.members[0].name.clone();
    assert_eq!(world.log, [format!("Scaled up replica set {name} from 0 to 4")]);
    assert_eq!(world.progressing(), "NewReplicaSetCreated");
    assert_eq!(first.members[0].annotations[REVISION], "1");
    assert_eq!(MEMBER_ANNOTATIONS.map(|key| first.members[0].annotations[key].clone()), ["4", "5"]);
    world.settle(1);
    world.step();
    assert_eq!(world.progressing(), "ReplicaSetUpdated");
    world.roll();
    assert_eq!(world.progressing(), "NewReplicaSetAvailable");
    let status = world.deployment().status.unwrap();
    assert_eq!((status.available_replicas, status.unavailable_replicas), (Some(4), None));
    assert_eq!(world.plan().next, Next::Wait);
}

#[test]
fn rolling_updates_keep_their_bounds() {
    for (surge, unavailable) in [("25%", "25%"), ("0%", "25%"), ("100%", "0%"), ("1", "0"), ("0", "0")] {
        let number = |text: &str| text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number));
        let rolling = json!({"maxSurge": number(surge), "maxUnavailable": number(unavailable)});
        let mut world = World::new(
            json!({"replicas": 10, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}),
        );
        world.roll();
        world.image("v2");
        let spec = world.deployment().spec.unwrap();
        let least = i64::from(10 - max_unavailable(&spec));
        for _ in 0..60 {
            world.step();
            // Shrinking takes effect at once: what is left available must be enough.
            world.settle(0);
            assert!(
                world.sum("/status/availableReplicas") >= least,
                "{surge} {unavailable}: {:?}",
                world.log
            );
            world.settle(1);
        }
        assert_eq!(
            world.sets.iter().map(|s| s["spec"]["replicas"].as_i64().unwrap()).collect::<Vec<_>>(),
            [0, 10]
        );
        assert_eq!(world.progressing(), "NewReplicaSetAvailable", "{surge} {unavailable}");
    }
}

#[test]
fn a_rollback_takes_the_old_set_up_again() {
    let mut world = World::new(json!({}));
    world.roll();
    world.image("v2");
    world.roll();
    world.image("v1");
    world.roll();
    assert_eq!(world.sets.len(), 2);
    let revisions: Vec<_> =
        world.sets.iter().map(|set| set["metadata"]["annotations"][REVISION].clone()).collect();
    assert_eq!(revisions, ["3", "2"]);
    assert_eq!(world.plan().revision.as_deref(), Some("3"));
    assert_eq!(world.sets[0]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn history_has_a_limit() {
    let mut world = World::new(json!({"replicas": 1}));
    for version in 1..=6 {
        world.image(&format!("v{version}"));
        world.roll();
        world.step();
    }
    let mut revisions: Vec<_> = world
        .sets
        .iter()
        .map(|s| s["metadata"]["annotations"][REVISION].as_str().unwrap().to_owned())
        .collect();
    revisions.sort();
    assert_eq!(revisions, ["4", "5", "6"], "the present one and two old ones");
}

#[test]
fn recreate_ends_the_old_before_the_new_begins() {
    let mut world = World::new(json!({"strategy": {"type": "Recreate"}}));
    world.roll();
    world.image("v2");
    world.step();
    assert_eq!((world.sets.len(), world.sum("/spec/replicas")), (1, 0));
    world.step();
    assert_eq!(world.sets.len(), 1, "the old Pods are still there");
    world.settle(0);
    world.roll();
    assert_eq!(world.sum("/spec/replicas"), 4);
    assert_eq!(world.sets.len(), 2);
}

#[test]
fn scaling_in_mid_rollout_is_proportional() {
    let mut world = World::new(
        json!({"replicas": 10, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}}),
    );
    for _ in 0..12 {
        world.step();
        world.settle(1);
    }
    world.image("broken");
    world.step();
    world.settle(0);
    world.step();
    let sizes = |world: &World| {
        world.sets.iter().map(|s| s["spec"]["replicas"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&world), [8, 5]);
    world.change("/spec/replicas", json!(20));
    world.step();
    // 23 allowed, 13 there: 8 and 5 grow in proportion (8×23/13 ≈ 14, 5×23/13 ≈ 9).
    assert_eq!(sizes(&world), [14, 9]);
    world.settle(0);
    world.step();
    assert_eq!(sizes(&world).iter().sum::<i64>(), 23, "then the rollout goes on");
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll_out() {
    let mut world = World::new(json!({}));
    world.roll();
    world.deployment["spec"]["paused"] = json!(true);
    world.image("v2");
    world.step();
    assert_eq!(world.progressing(), "DeploymentPaused");
    assert_eq!(world.sets.len(), 1);
    world.change("/spec/replicas", json!(6));
    world.step();
    assert_eq!(world.sum("/spec/replicas"), 6);
    world.settle(9);
    world.deployment["spec"]["paused"] = json!(false);
    world.step();
    assert_eq!(world.sets.len(), 2);
}

#[test]
fn a_rollout_that_gets_nowhere_times_out() {
    let mut world = World::new(json!({"progressDeadlineSeconds": 30}));
    let first = world.step();
    assert_eq!(first.next, Next::After(std::time::Duration::from_secs(31)));
    world.now += k8s_openapi::jiff::SignedDuration::from_secs(31);
    world.step();
    assert_eq!(world.progressing(), "ProgressDeadlineExceeded");
    world.settle(9);
    world.roll();
    assert_eq!(world.progressing(), "NewReplicaSetAvailable");
}
