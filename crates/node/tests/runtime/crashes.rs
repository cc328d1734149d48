//! Who dies, and what is left.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sealane_node::runtime::{ContainerState, ExecConfig, Runtime, RuntimeEvent, cleanup_pod};

use crate::lab::{Lab, UID, block_on, eventually, exit_of, id};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("reattach", reattach),
    ("what_ended_meanwhile_is_known", what_ended_meanwhile_is_known),
    ("a_killed_shim", a_killed_shim),
    ("a_killed_shim_and_no_agent", a_killed_shim_and_no_agent),
    ("remove_sandbox_leaves_nothing", remove_sandbox_leaves_nothing),
];

const FOREVER: &str = "echo up; while :; do sleep 1; done";

fn shim_pid(lab: &Lab) -> Pid {
    let marker = lab.pod_dir().to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pid = entries.flatten().find_map(|e| {
        let line = std::fs::read_to_string(e.path().join("cmdline")).unwrap_or_default();
        let ours = line.contains("pod-shim") && line.contains(&marker);
        ours.then(|| e.file_name().to_string_lossy().parse().ok()).flatten()
    });
    pid.and_then(Pid::from_raw).expect("a shim")
}

fn reattach() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let before = runtime.create_and_start(UID, lab.shell("web", FOREVER)).await.expect("start");
        drop(runtime);
        let runtime = lab.runtime().await;
        let all = runtime.list().await.expect("list");
        assert!(all[0].running && all[0].config == lab.sandbox());
        assert_eq!(all[0].containers, std::slice::from_ref(&before));
        runtime.run_sandbox(lab.sandbox()).await.expect("it is left as it is");
        let mut events = runtime.events();
        runtime.kill(&before.id, 9).await.expect("kill");
        let event = events.recv().await.expect("event");
        assert!(matches!(&event, RuntimeEvent::Exited(s) if s.signal == 9 && s.id == before.id), "{event:?}");
    });
}

fn what_ended_meanwhile_is_known() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("web", "sleep 0.2; exit 9")).await.expect("start");
        drop(runtime);
        let record = lab.pod_dir().join("containers/web.0/status.json");
        eventually("the record says so", || {
            std::fs::read_to_string(&record)
                .is_ok_and(|t| t.contains("Exited") && t.contains("\"exitCode\":9"))
        })
        .await;
        let runtime = lab.runtime().await;
        let status = runtime.status(&id("web", 0)).await.expect("status").expect("listed");
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 9));
    });
}

fn a_killed_shim() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("web", FOREVER)).await.expect("start");
        let mut events = runtime.events();
        kill_process(shim_pid(&lab), Signal::KILL).expect("kill");
        let mut first = events.recv().await.expect("event");
        if matches!(first, RuntimeEvent::Started(_)) {
            first = events.recv().await.expect("event");
        }
        assert!(
            matches!(&first, RuntimeEvent::Exited(s) if s.reason == "ContainerStatusUnknown"),
            "{first:?}"
        );
        assert_eq!(events.recv().await.expect("event"), RuntimeEvent::SandboxGone { pod_uid: UID.into() });
        assert!(lab.remains().iter().all(|r| !r.contains(UID)), "{:?}", lab.remains());
        let all = runtime.list().await.expect("list");
        assert!(!all[0].running && all[0].containers[0].exit_code == 137);
        assert!(runtime.exec(&id("web", 0), ExecConfig::default()).await.is_err());
        runtime.run_sandbox(lab.sandbox()).await.expect("a new sandbox");
        let mut next = lab.shell("web", "exit 4");
        next.attempt = 1;
        runtime.create_and_start(UID, next).await.expect("start");
        assert_eq!(exit_of(&runtime, &id("web", 1)).await.exit_code, 4);
        assert_eq!(runtime.list().await.expect("list")[0].containers.len(), 2);
    });
}

fn a_killed_shim_and_no_agent() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let started = runtime.create_and_start(UID, lab.shell("web", FOREVER)).await.expect("start");
        let shim = shim_pid(&lab);
        drop(runtime);
        kill_process(shim, Signal::KILL).expect("kill");
        let init = Pid::from_raw(started.pid).expect("pid");
        assert!(rustix::process::test_kill_process(init).is_ok(), "the container outlives its shim");
        cleanup_pod(&lab.pod_dir()).expect("clean up");
        cleanup_pod(&lab.pod_dir()).expect("again");
        assert!(lab.remains().iter().all(|r| !r.contains(UID)), "{:?}", lab.remains());
        let runtime = lab.runtime().await;
        let all = runtime.list().await.expect("list");
        assert_eq!(all[0].containers[0].reason, "ContainerStatusUnknown");
    });
}

fn remove_sandbox_leaves_nothing() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        for name in ["one", "two", "three"] {
            runtime.create_and_start(UID, lab.shell(name, FOREVER)).await.expect("start");
        }
        let mut events = runtime.events();
        runtime.remove_sandbox(UID).await.expect("remove");
        assert!(lab.remains().iter().all(|r| !r.contains(UID)), "{:?}", lab.remains());
        let mut ended = 0;
        while let Ok(Ok(event)) = tokio::time::timeout(Duration::from_millis(50), events.recv()).await {
            ended += u32::from(matches!(event, RuntimeEvent::Exited(_)));
        }
        assert_eq!(ended, 3);
        runtime.remove_sandbox(UID).await.expect("again");
    });
}
