//! Tables for a Pod's status.

use super::*;
use crate::agent::state::{Sandbox, Waiting};
use crate::agent::testing::{at, deleted, exited, pod, ready, running};
use serde_json::{Value, json};

fn shown(pod: &Pod, state: &PodState, now: i64) -> Value {
    serde_json::to_value(status(pod, state, &["10.123.0.2".parse().unwrap()], at(now))).unwrap()
}

/// `Initialized=True Ready=False(ContainersNotReady)`.
fn conditions(status: &Value) -> String {
    let list = status["conditions"].as_array().unwrap();
    let one = |c: &Value| {
        let reason = c["reason"].as_str().map(|r| format!("({r})")).unwrap_or_default();
        format!("{}={}{reason}", c["type"].as_str().unwrap(), c["status"].as_str().unwrap())
    };
    list.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_running_pod_in_full() {
    let got = shown(&pod(&["a"], json!({})), &ready(vec![("a", running(2))]), 5);
    let id = format!("sealane://{:064}", 2);
    assert_eq!(
        got,
        json!({
            "phase": "Running", "qosClass": "BestEffort",
            "hostIP": "10.123.0.2", "hostIPs": [{"ip": "10.123.0.2"}],
            "podIP": "10.244.0.2", "podIPs": [{"ip": "10.244.0.2"}], "startTime": "1970-01-12T13:46:40Z",
            "conditions": [
                {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": "1970-01-12T13:46:45Z"},
                {"type": "Initialized", "status": "True", "lastTransitionTime": "1970-01-12T13:46:45Z"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-12T13:46:45Z"},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": "1970-01-12T13:46:45Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-12T13:46:40Z"},
            ],
            "containerStatuses": [{
                "name": "a", "image": "localhost/hello:latest", "imageID": "sha256:1", "containerID": id,
                "ready": true, "started": true, "restartCount": 2, "lastState": {},
                "state": {"running": {"startedAt": "1970-01-12T13:46:41Z"}},
            }],
        })
    );
}

#[test]
fn transition_times_change_with_the_status_only() {
    let mut pod = pod(&["a"], json!({}));
    let mut state = ready(vec![("a", running(0))]);
    pod.status = Some(status(&pod, &state, &[], at(5)));
    assert_eq!(Some(status(&pod, &state, &[], at(50))), pod.status);
    state.containers.get_mut("a").unwrap().ready = false;
    let later = shown(&pod, &state, 60);
    assert_eq!(later["conditions"][1]["lastTransitionTime"], "1970-01-12T13:46:45Z");
    assert_eq!(later["conditions"][2]["lastTransitionTime"], "1970-01-12T13:47:40Z");
    assert_eq!(later["conditions"][2]["message"], "containers with unready status: [a]");
}

#[test]
fn phases_and_conditions() {
    let ok =
        "PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True";
    let unready = "PodReadyToStartContainers=True Initialized=True Ready=False(ContainersNotReady) \
                   ContainersReady=False(ContainersNotReady) PodScheduled=True";
    let always = pod(&["a"], json!({}));
    let never = pod(&["a"], json!({"restartPolicy": "Never"}));
    let removed = |views| PodState { sandbox: Sandbox::Removed, ..ready(views) };
    for (pod, state, phase, wanted) in [
        (&always, PodState::default(), "Pending", unready.replacen("True", "False", 1)),
        (&always, ready(vec![]), "Pending", unready.to_owned()),
        (&always, ready(vec![("a", running(0))]), "Running", ok.to_owned()),
        (&always, ready(vec![("a", exited(0, 1, 3))]), "Running", unready.to_owned()),
        (
            &never,
            removed(vec![("a", exited(0, 0, 3))]),
            "Succeeded",
            "PodReadyToStartContainers=False Initialized=True(PodCompleted) Ready=False(PodCompleted) \
             ContainersReady=False(PodCompleted) PodScheduled=True"
                .to_owned(),
        ),
        (
            &never,
            removed(vec![("a", exited(0, 3, 3))]),
            "Failed",
            "PodReadyToStartContainers=False Initialized=True Ready=False(PodFailed) \
             ContainersReady=False(PodFailed) PodScheduled=True"
                .to_owned(),
        ),
    ] {
        let got = shown(pod, &state, 5);
        assert_eq!((got["phase"].as_str().unwrap(), conditions(&got)), (phase, wanted));
    }
}

#[test]
fn a_deleted_pod_runs_until_its_containers_ended() {
    let gone = deleted(pod(&["a"], json!({})), 30);
    assert_eq!(shown(&gone, &ready(vec![("a", running(0))]), 5)["phase"], "Running");
    assert_eq!(shown(&gone, &ready(vec![("a", exited(0, 0, 5))]), 5)["phase"], "Succeeded");
    assert_eq!(shown(&gone, &ready(vec![("a", exited(0, 137, 5))]), 5)["phase"], "Failed");
}

#[test]
fn container_states() {
    let waiting =
        |reason: &str| Waiting { reason: reason.into(), message: "why".into(), since: at(0), retry: at(9) };
    let pod = pod(&["a"], json!({}));
    let mut crash = exited(3, 1, 3);
    crash.restarts.next(at(3));
    crash.restarts.next(at(3));
    crash.backoff_told = Some(at(3));
    let mut pull = exited(0, 1, 3);
    pull.waiting = Some(waiting("ImagePullBackOff"));
    let mut restarted = running(1);
    restarted.previous = exited(0, 1, 3).current;
    for (view, state, last) in [
        (ContainerView::default(), "waiting ContainerCreating", ""),
        (
            ContainerView { waiting: Some(waiting("ErrImagePull")), ..Default::default() },
            "waiting ErrImagePull",
            "",
        ),
        (exited(0, 1, 3), "terminated Error", ""),
        (exited(0, 0, 3), "terminated Completed", ""),
        (crash.clone(), "waiting CrashLoopBackOff", "Error"),
        (pull, "waiting ImagePullBackOff", "Error"),
        (restarted, "running", "Error"),
    ] {
        let got = &shown(&pod, &ready(vec![("a", view)]), 5)["containerStatuses"][0];
        let (kind, detail) = got["state"].as_object().unwrap().iter().next().unwrap();
        let text = format!("{kind} {}", detail["reason"].as_str().unwrap_or_default());
        assert_eq!(text.trim(), state);
        assert_eq!(got["lastState"]["terminated"]["reason"].as_str().unwrap_or_default(), last, "{state}");
    }
    let got = &shown(&pod, &ready(vec![("a", crash)]), 5)["containerStatuses"][0];
    let text = "back-off 20s restarting failed container=a pod=web-1_shop(u-1)";
    assert_eq!(got["state"]["waiting"]["message"], text);
    assert_eq!(got["restartCount"], 3);
}

#[test]
fn init_containers() {
    let pod =
        pod(&["a"], json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}));
    let got = shown(&pod, &ready(vec![]), 5);
    assert_eq!(got["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    let message = |got: &Value| got["conditions"][1]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (got["phase"].as_str(), message(&got)),
        (Some("Pending"), "containers with incomplete status: [i s]".into())
    );
    let got = shown(&pod, &ready(vec![("i", exited(0, 0, 1)), ("s", running(0)), ("a", running(0))]), 5);
    assert_eq!((got["phase"].as_str(), message(&got)), (Some("Running"), String::new()));
    assert_eq!(got["initContainerStatuses"][0]["ready"], true);
    assert_eq!(got["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
}

#[test]
fn readiness_gates_and_foreign_conditions() {
    let mut pod = pod(&["a"], json!({"readinessGates": [{"conditionType": "example.com/lb"}]}));
    let state = ready(vec![("a", running(0))]);
    let of = |pod: &Pod| {
        let got = shown(pod, &state, 5);
        (got["conditions"][2]["reason"].as_str().unwrap_or("-").to_owned(), conditions(&got))
    };
    assert_eq!(of(&pod).0, "ReadinessGatesNotReady");
    let gate = serde_json::from_value(json!({"type": "example.com/lb", "status": "True"})).unwrap();
    pod.status.as_mut().unwrap().conditions.as_mut().unwrap().push(gate);
    let (reason, all) = of(&pod);
    assert_eq!(reason, "-");
    assert!(all.ends_with("PodScheduled=True example.com/lb=True"), "{all}");
}
