//! Tables for the planner: actions are written as short words.

use super::*;
use crate::agent::state::Waiting;
use crate::agent::testing::{at, deleted, exited, pod, ready, running};
use serde_json::json;

/// `start a 0, stop b 30` and, if any, `wake 12`.
fn words(pod: &Pod, state: &PodState, now: i64) -> String {
    let plan = plan(pod, state, at(now));
    let mut out: Vec<String> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::SetUp => "setup".to_owned(),
            Action::Start { container, attempt } => format!("start {container} {attempt}"),
            Action::TellBackOff { container } => format!("backoff {container}"),
            Action::PullBackOff { container } => format!("pullbackoff {container}"),
            Action::Stop { container, grace_s, .. } => format!("stop {container} {grace_s}"),
            Action::TearDown => "teardown".to_owned(),
            Action::Finish => "finish".to_owned(),
        })
        .collect();
    out.extend(plan.wake.map(|w| format!("wake {}", w.duration_since(at(0)).as_secs())));
    out.join(", ")
}

fn starting() -> ContainerView {
    ContainerView { starting: true, ..Default::default() }
}

fn backing_off(mut view: ContainerView, times: usize) -> ContainerView {
    let ended = view.exited().and_then(|c| c.finished_at).unwrap_or_else(|| at(0));
    for _ in 0..times {
        view.restarts.next(ended);
    }
    view
}

#[test]
fn a_pod_comes_up() {
    let pod = pod(&["a", "b"], json!({}));
    let mut state = PodState::default();
    assert_eq!(words(&pod, &state, 0), "setup");
    state.sandbox = Sandbox::Starting;
    assert_eq!(words(&pod, &state, 0), "");
    state.sandbox = Sandbox::Failed { retry: at(2) };
    assert_eq!(words(&pod, &state, 0), "wake 2");
    assert_eq!(words(&pod, &state, 2), "setup");
    assert_eq!(words(&pod, &ready(vec![]), 0), "start a 0, start b 0");
    assert_eq!(words(&pod, &ready(vec![("a", starting())]), 0), "start b 0");
    assert_eq!(words(&pod, &ready(vec![("a", running(0)), ("b", running(3))]), 0), "");
}

#[test]
fn restarts_follow_policy_and_back_off() {
    for (policy, view, now, wanted) in [
        ("Always", exited(0, 0, 5), 5, "start a 1"),
        ("Always", exited(2, 1, 5), 5, "start a 3"),
        ("Always", backing_off(exited(1, 1, 5), 1), 5, "backoff a, wake 15"),
        ("Always", backing_off(exited(1, 1, 5), 3), 6, "backoff a, wake 45"),
        ("Always", backing_off(exited(1, 1, 5), 1), 15, "start a 2"),
        ("OnFailure", exited(0, 1, 5), 5, "start a 1"),
        ("OnFailure", exited(0, 0, 5), 5, "teardown"),
        ("Never", exited(0, 1, 5), 5, "teardown"),
        ("Never", exited(0, 0, 5), 5, "teardown"),
    ] {
        let pod = pod(&["a"], json!({"restartPolicy": policy}));
        assert_eq!(words(&pod, &ready(vec![("a", view)]), now), wanted, "{policy} at {now}");
    }
    let mut told = backing_off(exited(1, 1, 5), 1);
    told.backoff_told = Some(at(5));
    assert_eq!(words(&pod(&["a"], json!({})), &ready(vec![("a", told)]), 6), "wake 15");
}

#[test]
fn one_container_that_ends_does_not_end_the_pod() {
    let pod = pod(&["a", "b"], json!({"restartPolicy": "Never"}));
    assert_eq!(words(&pod, &ready(vec![("a", exited(0, 0, 1)), ("b", running(0))]), 2), "");
}

#[test]
fn init_containers_run_one_by_one() {
    let init = json!({"initContainers": [{"name": "i1"}, {"name": "i2"}]});
    let always = pod(&["a"], init.clone());
    for (views, wanted) in [
        (vec![], "start i1 0"),
        (vec![("i1", starting())], ""),
        (vec![("i1", running(0))], ""),
        (vec![("i1", exited(0, 0, 1))], "start i2 0"),
        (vec![("i1", exited(0, 7, 1))], "start i1 1"),
        (vec![("i1", exited(0, 0, 1)), ("i2", exited(0, 0, 2))], "start a 0"),
        (vec![("i1", exited(0, 0, 1)), ("i2", exited(0, 0, 2)), ("a", exited(0, 1, 3))], "start a 1"),
    ] {
        assert_eq!(words(&always, &ready(views), 5), wanted);
    }
    let mut never = init;
    never["restartPolicy"] = json!("Never");
    assert_eq!(words(&pod(&["a"], never), &ready(vec![("i1", exited(0, 7, 1))]), 5), "teardown");
}

#[test]
fn a_new_sandbox_runs_init_containers_again_and_counts_restarts() {
    let pod = pod(&["a"], json!({"initContainers": [{"name": "i1"}]}));
    let stale = |mut view: ContainerView| {
        view.stale = true;
        view
    };
    let state = ready(vec![("i1", stale(exited(0, 0, 1))), ("a", stale(exited(2, 137, 9)))]);
    assert_eq!(words(&pod, &state, 10), "start i1 1");
    let state = ready(vec![("i1", exited(1, 0, 11)), ("a", stale(exited(2, 137, 9)))]);
    assert_eq!(words(&pod, &state, 12), "start a 3");
}

#[test]
fn sidecars_start_first_stay_and_end_last() {
    let spec =
        json!({"initContainers": [{"name": "s", "restartPolicy": "Always"}], "restartPolicy": "Never"});
    let pod = pod(&["a"], spec);
    assert_eq!(words(&pod, &ready(vec![]), 0), "start s 0");
    let mut not_started = running(0);
    not_started.started = false;
    assert_eq!(words(&pod, &ready(vec![("s", not_started)]), 0), "");
    assert_eq!(words(&pod, &ready(vec![("s", running(0))]), 0), "start a 0");
    assert_eq!(words(&pod, &ready(vec![("s", exited(0, 1, 1)), ("a", running(0))]), 2), "start s 1");
    let gone = deleted(pod.clone(), 30);
    assert_eq!(words(&gone, &ready(vec![("s", running(0)), ("a", running(0))]), 2), "stop a 30");
    assert_eq!(words(&gone, &ready(vec![("s", running(0)), ("a", exited(0, 0, 3))]), 4), "stop s 30");
    assert_eq!(words(&pod, &ready(vec![("s", running(0)), ("a", exited(0, 0, 3))]), 4), "stop s 30");
}

#[test]
fn deletion_stops_tears_down_and_finishes() {
    let gone = deleted(pod(&["a", "b"], json!({})), 30);
    let mut stopping = running(0);
    stopping.stopping = Some(at(30));
    let with = |sandbox: Sandbox, views| PodState { sandbox, ..ready(views) };
    for (state, wanted) in [
        (ready(vec![("a", running(0)), ("b", running(0))]), "stop a 30, stop b 30"),
        (ready(vec![("a", stopping.clone()), ("b", exited(0, 0, 1))]), ""),
        (ready(vec![("a", starting())]), ""),
        (ready(vec![("a", exited(0, 0, 1)), ("b", exited(0, 0, 1))]), "teardown"),
        (with(Sandbox::Absent, vec![]), "teardown"),
        (with(Sandbox::Starting, vec![]), ""),
        (with(Sandbox::Stopping, vec![]), ""),
        (with(Sandbox::Removed, vec![]), "finish"),
    ] {
        assert_eq!(words(&gone, &state, 0), wanted);
    }
    let shorter = deleted(pod(&["a"], json!({})), 5);
    assert_eq!(words(&shorter, &ready(vec![("a", stopping.clone())]), 1), "stop a 5");
    let orphan = PodState { gone: true, ..ready(vec![("a", running(0))]) };
    let spec = json!({"terminationGracePeriodSeconds": 7});
    assert_eq!(words(&pod(&["a"], spec), &orphan, 0), "stop a 7");
}

#[test]
fn a_failed_pull_is_shown_then_backs_off() {
    let pod = pod(&["a"], json!({}));
    let waiting = |reason: &str| ContainerView {
        waiting: Some(Waiting { reason: reason.into(), message: String::new(), since: at(0), retry: at(10) }),
        ..Default::default()
    };
    for (reason, now, wanted) in [
        ("ErrImagePull", 0, "wake 1"),
        ("ErrImagePull", 1, "pullbackoff a, wake 10"),
        ("ImagePullBackOff", 1, "wake 10"),
        ("ImagePullBackOff", 10, "start a 0"),
        ("CreateContainerConfigError", 3, "wake 10"),
    ] {
        assert_eq!(words(&pod, &ready(vec![("a", waiting(reason))]), now), wanted, "{reason} at {now}");
    }
}

#[test]
fn a_failed_probe_stops_the_container_once() {
    let pod = pod(&["a"], json!({"terminationGracePeriodSeconds": 3}));
    let mut view = running(0);
    view.must_stop = Some("Container a failed liveness probe, will be restarted".into());
    assert_eq!(words(&pod, &ready(vec![("a", view.clone())]), 0), "stop a 3");
    view.stopping = Some(at(3));
    assert_eq!(words(&pod, &ready(vec![("a", view)]), 0), "");
}

#[test]
fn an_active_deadline_ends_the_pod() {
    let pod = pod(&["a"], json!({"activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 1}));
    assert_eq!(words(&pod, &ready(vec![("a", running(0))]), 59), "wake 60");
    assert_eq!(words(&pod, &ready(vec![("a", running(0))]), 60), "stop a 1");
    let over = PodState { sandbox: Sandbox::Removed, ..ready(vec![("a", exited(0, 0, 61))]) };
    assert_eq!(words(&pod, &over, 62), "");
}
