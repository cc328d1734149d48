//! The README's tutorial is true: every command of its `console` blocks is run, and prints what stands there. Names, addresses, times
//! and other things that chance decides are compared by their form. `UPDATE_README=1` writes what was printed into the README.

use crate::harness::Cluster;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What chance decides, as `sed -E` scripts: random parts of names, addresses, times, nodes, what varies in a table's width.
const FORMS: &[&str] = &[
    "s/(-[0-9a-f]{8,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}\\b/-xxxxx/g",
    "s/10\\.96\\.[0-9]+\\.[0-9]+/10.96.x.x/g",
    "s/10\\.244\\.[0-9]+\\.[0-9]+/10.244.x.x/g",
    "s/10\\.123\\.0\\.[0-9]+/10.123.0.x/g",
    "s/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+Z/TIME/g",
    "s/\\b[0-9]+(m[0-9]+)?s\\b/AGE/g",
    "s/[0-9]+ ms/N ms/g",
    "s/up to [0-9]+ times/up to N times/",
    "s/pod-template-hash=[0-9a-f]+/pod-template-hash=HASH/g",
    "s/\\b3[0-2][0-9]{3}\\b/3xxxx/g",
    "s/node-[0-9]/node-N/g",
    "s/(running|dark) +[0-9]+/\\1 PID/",
    "s/[ \\t]+/ /g",
    "s/ $//",
];

/// A command that only looks is asked again until it prints what it should: a Pod may be starting for 20 seconds.
const SETTLES: Duration = Duration::from_secs(40);

#[test]
fn the_readme_is_true() {
    let cluster = Cluster::new();
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let update = std::env::var_os("UPDATE_README").is_some();
    let (mut written, mut commands) = (String::new(), 0);
    let mut lines = readme.lines().peekable();
    let mut inside = false;
    while let Some(line) = lines.next() {
        writeln!(written, "{line}").unwrap();
        inside = (inside && line != "```") || line == "```console";
        let Some(command) = line.strip_prefix("$ ").filter(|_| inside) else { continue };
        let mut expected = String::new();
        while let Some(output) = lines.next_if(|next| !next.starts_with("$ ") && *next != "```") {
            writeln!(expected, "{output}").unwrap();
        }
        let printed = settled(&cluster, command, &expected, update);
        if !update {
            assert_eq!(form(&printed), form(&expected), "\n$ {command}\nprinted\n{printed}\nnot\n{expected}");
        }
        written.push_str(&printed);
        commands += 1;
    }
    assert!(commands > 30, "the tutorial is there: {commands} commands");
    if update {
        std::fs::write(path, written).unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn settled(cluster: &Cluster, command: &str, expected: &str, update: bool) -> String {
    let looks = [
        "kubectl get",
        "kubectl describe",
        "kubectl exec",
        "kubectl events",
        "curl",
        "kubectl logs",
        "sealane",
    ];
    let again = looks.iter().any(|word| command.starts_with(word));
    let end = Instant::now() + SETTLES;
    if update && again {
        std::thread::sleep(Duration::from_secs(2));
    }
    loop {
        let printed = run(cluster, command);
        // What is to be written is not known: what explains something has more to say in a while.
        let done = if update {
            !command.starts_with("sealane") || printed.contains("\n  → ")
        } else {
            form(&printed) == form(expected)
        };
        if !again || done || Instant::now() > end {
            return printed;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a shell prints for it, on both streams. The reader's `sudo` is us.
fn run(cluster: &Cluster, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_sealane")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("timeout");
    shell.args(["120", "bash", "-c", &format!("{} 2>&1", command.replace("sudo ", ""))]);
    shell.current_dir(root()).stdin(Stdio::null()).env("PATH", path).env("NO_PROXY", "127.0.0.1,localhost");
    shell.env("KUBECONFIG", cluster.kubeconfig()).env("KUBECACHEDIR", cluster.directory.path().join("cache"));
    shell.env("SEALANE_NAME", &cluster.name).env("SEALANE_DATA_DIR", cluster.data_dir());
    shell.env("SEALANE_EGRESS", "none").env("SEALANE_API_PORT", cluster.port.to_string());
    let printed = String::from_utf8_lossy(&shell.output().unwrap().stdout).into_owned();
    // The reader's cluster has the usual name and places.
    let replaced = [
        (cluster.kubeconfig().display().to_string(), "/root/.kube/config"),
        (cluster.data_dir().display().to_string(), "/var/lib/sealane/default"),
        (cluster.name.clone(), "default"),
        (format!(":{}", cluster.port), ":6443"),
    ];
    replaced.iter().fold(printed, |text, (ours, theirs)| text.replace(ours.as_str(), theirs))
}

fn form(text: &str) -> String {
    use std::io::Write;
    let mut sed = Command::new("sed");
    sed.arg("-E").args(FORMS.iter().flat_map(|script| ["-e", script]));
    let mut child = sed.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
