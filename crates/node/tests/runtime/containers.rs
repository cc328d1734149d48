//! The life of a container.

use std::time::{Duration, Instant};

use sealane_node::runtime::{
    AttachConfig, ContainerConfig, ContainerState, ExecConfig, Mount, Resources, Runtime, RuntimeError,
    SandboxConfig, SeccompProfile, SecurityContext, TerminalSize,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{Lab, UID, block_on, eventually, exit_of, id};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("exit_code_and_log", exit_code_and_log),
    ("what_a_container_sees", what_a_container_sees),
    ("a_command_that_is_not_there", a_command_that_is_not_there),
    ("exec", exec),
    ("exec_with_a_terminal", exec_with_a_terminal),
    ("attach", attach),
    ("stop_with_grace", stop_with_grace),
    ("out_of_memory", out_of_memory),
    ("who_it_runs_as", who_it_runs_as),
    ("safe_by_default", safe_by_default),
    ("seccomp", seccomp),
    ("how_fast_and_how_small", how_fast_and_how_small),
    ("many_pods_in_their_own_networks", many_pods_in_their_own_networks),
];

const WAIT: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done";

fn exit_code_and_log() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let script = "echo out; echo err >&2; printf unfinished; exit 7";
        let started = runtime.create_and_start(UID, lab.shell("web", script)).await.expect("start");
        assert_eq!(started.state, ContainerState::Running);
        assert_eq!(started.container_id.len(), 64);
        let ended = exit_of(&runtime, &id("web", 0)).await;
        assert_eq!((ended.exit_code, ended.signal, ended.reason.as_str()), (7, 0, "Error"));
        assert!(ended.finished_at >= ended.started_at && ended.started_at.is_some());
        let mut log = lab.log("web");
        log.sort();
        assert_eq!(log, ["stderr F err", "stdout F out", "stdout F unfinished"]);
        let mut again = lab.shell("web", "exit 0");
        assert!(runtime.create_and_start(UID, again.clone()).await.is_err(), "the attempt's number is taken");
        again.attempt = 1;
        runtime.create_and_start(UID, again).await.expect("start");
        assert_eq!(exit_of(&runtime, &id("web", 1)).await.reason, "Completed");
        runtime.remove(&id("web", 0)).await.expect("remove");
        let all = runtime.list().await.expect("list");
        assert_eq!(all[0].containers.iter().map(|c| c.id.attempt).collect::<Vec<_>>(), [1]);
        runtime.remove_sandbox(UID).await.expect("remove");
        assert!(runtime.list().await.expect("list").is_empty());
        assert_eq!(lab.remains(), node_groups(&lab), "nothing but the node's own groups");
    });
}

/// The groups above the Pod's stay for the other Pods of the node.
fn node_groups(lab: &Lab) -> Vec<String> {
    lab.remains().into_iter().filter(|r| r.starts_with("/sys/fs/cgroup") && !r.contains(UID)).collect()
}

fn what_a_container_sees() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let hosts = lab.dir.path().join("hosts");
        std::fs::write(&hosts, "10.244.0.5 web-0\n").expect("write");
        let script = "hostname; echo $FROM $ADDED $HOSTNAME $HOME; cat /etc/hosts; echo $$; pwd; \
                      touch /etc/hosts 2>/dev/null || echo readonly; ls /sys/fs/cgroup >/dev/null && echo cgroup";
        let config = ContainerConfig {
            env: vec![("ADDED".into(), "pod".into())],
            working_dir: Some("/made/here".into()),
            mounts: vec![Mount { host_path: hosts, container_path: "/etc/hosts".into(), readonly: true }],
            ..lab.shell("web", script)
        };
        runtime.create_and_start(UID, config).await.expect("start");
        exit_of(&runtime, &id("web", 0)).await;
        let expected =
            ["web-0", "image pod web-0 /root", "10.244.0.5 web-0", "1", "/made/here", "readonly", "cgroup"];
        assert_eq!(lab.log("web"), expected.map(|l| format!("stdout F {l}")));
        let missing = ContainerConfig {
            mounts: vec![Mount {
                host_path: "/no/such/file".into(),
                container_path: "/x".into(),
                readonly: true,
            }],
            ..lab.shell("bad", "true")
        };
        let refused = runtime.create_and_start(UID, missing).await.expect_err("refused");
        assert!(
            matches!(&refused, RuntimeError::Start { reason, .. } if reason == "CreateContainerConfigError")
        );
    });
}

fn a_command_that_is_not_there() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        for (attempt, command, message, exit_code) in [
            (0, "nothing", "exec: \"nothing\": executable file not found in $PATH", 127),
            (1, "/nothing", "exec: \"/nothing\": stat /nothing: no such file or directory", 127),
            (2, "/etc/passwd", "exec: \"/etc/passwd\": permission denied", 126),
        ] {
            let config = ContainerConfig { command: vec![command.into()], attempt, ..lab.shell("web", "") };
            let refused = runtime.create_and_start(UID, config).await.expect_err("refused");
            assert_eq!(refused.to_string(), message);
            let status = runtime.status(&id("web", attempt)).await.expect("status").expect("listed");
            assert_eq!((status.reason.as_str(), status.exit_code), ("ContainerCannotRun", exit_code));
        }
    });
}

fn exec() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("web", WAIT)).await.expect("start");
        let command =
            ["/bin/sh", "-c", "cat; echo $FROM $EXTRA; echo err >&2; hostname; exit 3"].map(str::to_owned);
        let config = ExecConfig {
            command: command.to_vec(),
            env: vec![("EXTRA".into(), "more".into())],
            stdin: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let mut exec = runtime.exec(&id("web", 0), config).await.expect("exec");
        let mut stdin = exec.streams.stdin.take().expect("stdin");
        stdin.write_all(b"typed\n").await.expect("write");
        drop(stdin);
        let (mut out, mut err) = (String::new(), String::new());
        exec.streams.stdout.take().expect("stdout").read_to_string(&mut out).await.expect("read");
        exec.streams.stderr.take().expect("stderr").read_to_string(&mut err).await.expect("read");
        assert_eq!((out.as_str(), err.as_str()), ("typed\nimage more\nweb-0\n", "err\n"));
        assert_eq!(exec.wait().await.expect("wait").exit_code, 3);
        let nothing = ExecConfig { command: vec!["nothing".into()], ..Default::default() };
        let refused = runtime.exec(&id("web", 0), nothing).await.err().expect("refused");
        assert!(refused.to_string().contains("executable file not found"), "{refused}");
        let long = ExecConfig { command: vec!["sleep".into(), "100".into()], ..Default::default() };
        let mut long = runtime.exec(&id("web", 0), long).await.expect("exec");
        long.kill().await.expect("kill");
        assert_eq!(long.wait().await.expect("wait").signal, 9);
        let refused = runtime.exec(&id("other", 0), ExecConfig::default()).await.err().expect("refused");
        assert!(refused.to_string().contains("other.0 does not exist"), "{refused}");
    });
}

fn exec_with_a_terminal() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("web", WAIT)).await.expect("start");
        let config = ExecConfig {
            command: vec!["/bin/sh".into()],
            tty: true,
            size: Some(TerminalSize { rows: 33, columns: 77 }),
            stdin: true,
            stdout: true,
            ..Default::default()
        };
        let mut exec = runtime.exec(&id("web", 0), config).await.expect("exec");
        let (mut stdin, mut stdout) =
            (exec.streams.stdin.take().expect("stdin"), exec.streams.stdout.take().expect("stdout"));
        stdin.write_all(b"stty size; test -t 0 && echo is-a-terminal\n").await.expect("write");
        read_until(&mut stdout, "\nis-a-terminal").await;
        exec.streams.resize(TerminalSize { rows: 44, columns: 88 }).expect("resize");
        stdin.write_all(b"stty size; exit 5\n").await.expect("write");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.expect("read");
        assert!(rest.contains("44 88"), "{rest}");
        assert_eq!(exec.wait().await.expect("wait").exit_code, 5);
    });
}

async fn read_until(from: &mut (impl AsyncReadExt + Unpin), text: &str) -> String {
    let mut got = String::new();
    let mut buffer = [0; 1024];
    while !got.contains(text) {
        let n = from.read(&mut buffer).await.expect("read");
        assert!(n > 0, "ended before {text:?}: {got:?}");
        got.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    got
}

fn attach() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let all = AttachConfig { stdin: true, stdout: true, stderr: true };
        let pipes =
            ContainerConfig { stdin: true, stdin_once: true, ..lab.shell("pipes", "cat; echo bye >&2") };
        runtime.create_and_start(UID, pipes).await.expect("start");
        let mut streams = runtime.attach(&id("pipes", 0), all).await.expect("attach");
        let mut stdin = streams.stdin.take().expect("stdin");
        stdin.write_all(b"hello\n").await.expect("write");
        drop(stdin);
        let (mut out, mut err) = (String::new(), String::new());
        streams.stdout.take().expect("stdout").read_to_string(&mut out).await.expect("read");
        streams.stderr.take().expect("stderr").read_to_string(&mut err).await.expect("read");
        assert_eq!((out.as_str(), err.as_str()), ("hello\n", "bye\n"));
        assert_eq!(exit_of(&runtime, &id("pipes", 0)).await.exit_code, 0);

        let terminal = ContainerConfig {
            stdin: true,
            tty: true,
            ..lab.shell("tty", "read line; stty size; echo got $line")
        };
        runtime.create_and_start(UID, terminal).await.expect("start");
        let mut streams = runtime.attach(&id("tty", 0), all).await.expect("attach");
        streams.resize(TerminalSize { rows: 20, columns: 30 }).expect("resize");
        streams.stdin.take().expect("stdin").write_all(b"it\n").await.expect("write");
        let mut out = String::new();
        streams.stdout.take().expect("stdout").read_to_string(&mut out).await.expect("read");
        assert!(out.contains("20 30") && out.contains("got it"), "{out}");
        assert_eq!(exit_of(&runtime, &id("tty", 0)).await.exit_code, 0);
        assert!(lab.log("tty").iter().any(|l| l.contains("got it")), "{:?}", lab.log("tty"));
    });
}

fn stop_with_grace() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        runtime.create_and_start(UID, lab.shell("polite", WAIT)).await.expect("start");
        let deaf = "trap '' TERM; echo ready; while :; do sleep 0.02; done";
        runtime.create_and_start(UID, lab.shell("deaf", deaf)).await.expect("start");
        eventually("both have their traps", || lab.log("polite").len() + lab.log("deaf").len() == 2).await;
        let ended = runtime.stop(&id("polite", 0), Duration::from_secs(20)).await.expect("stop");
        assert_eq!((ended.exit_code, ended.reason.as_str()), (0, "Completed"));
        let start = Instant::now();
        let ended = runtime.stop(&id("deaf", 0), Duration::from_millis(300)).await.expect("stop");
        assert_eq!((ended.exit_code, ended.signal, ended.reason.as_str()), (137, 9, "Error"));
        assert!(start.elapsed() >= Duration::from_millis(300));
        runtime.create_and_start(UID, lab.shell("again", deaf)).await.expect("start");
        let name = id("again", 0);
        let slow = runtime.stop(&name, Duration::from_secs(100));
        let fast = async {
            tokio::task::yield_now().await;
            runtime.stop(&name, Duration::ZERO).await
        };
        let (slow, fast) = tokio::join!(slow, fast);
        assert_eq!((slow.expect("slow").exit_code, fast.expect("fast").exit_code), (137, 137));
    });
}

fn out_of_memory() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let config = ContainerConfig {
            resources: Resources { memory_limit_bytes: Some(16 << 20), ..Default::default() },
            ..lab.shell("hungry", "head -c 64m /dev/zero | tail")
        };
        runtime.create_and_start(UID, config).await.expect("start");
        let ended = exit_of(&runtime, &id("hungry", 0)).await;
        assert_eq!((ended.reason.as_str(), ended.exit_code), ("OOMKilled", 137), "{ended:?}");
    });
}

fn who_it_runs_as() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let script = format!("id -u; id -g; id -G; grep -c . /etc/passwd; {WAIT}");
        let security = SecurityContext {
            run_as_user: Some(1000),
            run_as_group: Some(2000),
            run_as_non_root: true,
            supplemental_groups: vec![3000],
            no_new_privileges: true,
            read_only_root_filesystem: true,
            ..Default::default()
        };
        let config = ContainerConfig { security: security.clone(), ..lab.shell("web", &script) };
        runtime.create_and_start(UID, config).await.expect("start");
        eventually("it says who it is", || lab.log("web").len() == 5).await;
        assert_eq!(lab.log("web")[..3], ["stdout F 1000", "stdout F 2000", "stdout F 2000 3000"]);
        let command = [
            "/bin/sh",
            "-c",
            "id -u; id -G; grep -E 'NoNewPrivs|CapEff' /proc/self/status; touch /x || echo no",
        ];
        let config =
            ExecConfig { command: command.map(str::to_owned).to_vec(), stdout: true, ..Default::default() };
        let mut exec = runtime.exec(&id("web", 0), config).await.expect("exec");
        let mut out = String::new();
        exec.streams.stdout.take().expect("stdout").read_to_string(&mut out).await.expect("read");
        assert_eq!(out, "1000\n2000 3000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nno\n");
        let root = SecurityContext { run_as_user: None, ..security };
        let refused =
            runtime.create_and_start(UID, ContainerConfig { security: root, ..lab.shell("root", "") }).await;
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "container has runAsNonRoot and image will run as root"
        );
    });
}

fn safe_by_default() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let script = "grep CapBnd /proc/self/status; echo x >/proc/sys/kernel/hostname && echo wrote; \
                      head -c 1 /proc/kcore | grep . && echo read; ls /proc/1/root/var/tmp/sealane* && echo escaped; \
                      mount -t tmpfs x /tmp && echo mounted; ls /proc/1/fd; echo end";
        runtime.create_and_start(UID, lab.shell("web", script)).await.expect("start");
        exit_of(&runtime, &id("web", 0)).await;
        let log: Vec<String> = lab.log("web").into_iter().filter(|l| l.starts_with("stdout")).collect();
        assert_eq!(
            log,
            ["stdout F CapBnd:\t00000000a00425fb", "stdout F 0", "stdout F 1", "stdout F 2", "stdout F end"]
        );
    });
}

fn seccomp() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        // 2 is a filter, 0 none. Root of a container may make no user namespace under the profile.
        let script = format!(
            "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; unshare -U true && echo made; echo ready; {WAIT}"
        );
        let of = |profile, name| ContainerConfig {
            security: SecurityContext { seccomp: profile, ..Default::default() },
            ..lab.shell(name, &script)
        };
        for (name, profile, wanted) in [
            ("web", SeccompProfile::RuntimeDefault, vec!["stdout F NoNewPrivs:\t0", "stdout F Seccomp:\t2"]),
            (
                "free",
                SeccompProfile::Unconfined,
                vec!["stdout F NoNewPrivs:\t0", "stdout F Seccomp:\t0", "stdout F made"],
            ),
        ] {
            runtime.create_and_start(UID, of(profile, name)).await.expect("start");
            eventually("it looked", || lab.log(name).iter().any(|l| l == "stdout F ready")).await;
            let said: Vec<String> = lab.log(name).into_iter().filter(|l| l.starts_with("stdout")).collect();
            assert_eq!(said[..wanted.len()], wanted, "{name}");
            let command = ["/bin/sh", "-c", "grep Seccomp: /proc/self/status; grep CapBnd /proc/self/status"];
            let config = ExecConfig {
                command: command.map(str::to_owned).to_vec(),
                stdout: true,
                ..Default::default()
            };
            let mut exec = runtime.exec(&id(name, 0), config).await.expect("exec");
            let mut out = String::new();
            exec.streams.stdout.take().expect("stdout").read_to_string(&mut out).await.expect("read");
            let filter = if name == "web" { 2 } else { 0 };
            assert_eq!(out, format!("Seccomp:\t{filter}\nCapBnd:\t00000000a00425fb\n"));
        }
    });
}

/// The numbers are printed; the limits are wide, for slow machines.
fn how_fast_and_how_small() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        let start = Instant::now();
        runtime.run_sandbox(lab.sandbox()).await.expect("sandbox");
        let sandbox = start.elapsed();
        let start = Instant::now();
        runtime.create_and_start(UID, lab.shell("web", WAIT)).await.expect("start");
        let container = start.elapsed();
        let start = Instant::now();
        runtime.create_and_start(UID, lab.shell("second", WAIT)).await.expect("start");
        let second = start.elapsed();
        let config = ExecConfig { command: vec!["echo".into()], ..Default::default() };
        let start = Instant::now();
        runtime.exec(&id("web", 0), config).await.expect("exec").wait().await.expect("wait");
        let exec = start.elapsed();
        let group = format!("/sys/fs/cgroup/unified/{}/shim/cgroup.procs", lab.sandbox().cgroup_parent);
        let group = if std::path::Path::new(&group).exists() { group } else { group.replace("/unified", "") };
        let shim = std::fs::read_to_string(group).expect("the shim's group");
        let memory =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.trim())).expect("smaps_rollup");
        let field =
            |name: &str| memory.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("").trim().to_owned();
        println!("  sandbox {sandbox:?}, container {container:?}, second {second:?}, exec {exec:?}");
        println!(
            "  shim: Rss {}, Pss {}, Private_Dirty {}",
            field("Rss:"),
            field("Pss:"),
            field("Private_Dirty:")
        );
        assert!(sandbox + container < Duration::from_secs(5));
    });
}

/// A new network namespace, pinned to a file.
fn pin_netns(at: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::File::create(at).expect("create");
    let status =
        std::process::Command::new("unshare").arg(format!("--net={}", at.display())).arg("true").status();
    assert!(status.expect("unshare").success());
    std::fs::metadata(at).expect("metadata").ino()
}

fn many_pods_in_their_own_networks() {
    let lab = Lab::new();
    block_on(async {
        let runtime = lab.runtime().await;
        let start = Instant::now();
        let pods = (0..10).map(|n| {
            let (runtime, lab) = (&runtime, &lab);
            async move {
                let uid = format!("5f0c3b5e-0000-4000-8000-0000000000{n:02}");
                let netns = lab.dir.path().join(format!("netns-{n}"));
                let inode = pin_netns(&netns);
                let sandbox = SandboxConfig {
                    uid: uid.clone(),
                    dir: lab.dir.path().join("pods").join(&uid),
                    cgroup_parent: format!("{}/node-1/{uid}", lab.cgroup),
                    netns: Some(netns),
                    sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), n.to_string())].into(),
                    ..lab.sandbox()
                };
                runtime.run_sandbox(sandbox).await.expect("sandbox");
                let name = format!("web-{n}");
                let script = "ls -l /proc/self/ns/net | grep -o '[0-9]*]'; cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
                runtime.create_and_start(&uid, lab.shell(&name, &format!("{script}; {WAIT}"))).await.expect("start");
                eventually("it is ready", || lab.log(&name).len() == 3).await;
                assert_eq!(lab.log(&name)[..2], [format!("stdout F {inode}]"), format!("stdout F {n}")]);
                uid
            }
        });
        let uids = futures::future::join_all(pods).await;
        println!("  10 pods in {:?}", start.elapsed());
        let start = Instant::now();
        let ends = uids.iter().map(|uid| runtime.remove_sandbox(uid));
        futures::future::join_all(ends).await.into_iter().for_each(|end| end.expect("remove"));
        println!("  removed in {:?}", start.elapsed());
        assert_eq!(lab.remains().iter().filter(|r| !r.contains("netns-")).count(), node_groups(&lab).len());
    });
}
