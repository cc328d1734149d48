//! `cargo xtask bench cluster`: what users feel, measured on the built binary: time to a cluster, memory at rest, time to a served Deployment.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 5;

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: bench}
spec: {type: NodePort, selector: {app: bench}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: bench}
spec:
  replicas: 10
  selector: {matchLabels: {app: bench}}
  template:
    metadata: {labels: {app: bench}}
    spec: {containers: [{name: web, image: 'localhost/hello'}]}
";

/// What one run measured.
struct Run {
    up: Duration,
    idle_kib: u64,
    programmed: Duration,
}

/// Prints the medians of five runs.
pub(super) fn bench(release: bool) -> Result<(), String> {
    let profile = if release { "release" } else { "dev" };
    println!("sealane cluster, profile {profile}");
    let binary = built(profile)?;
    let mut runs = Vec::new();
    for number in 0..RUNS {
        let run = once(&binary, number)?;
        println!(
            "run {number}: up {} ms, idle {:.1} MB, 10 replicas {} ms",
            run.up.as_millis(),
            megabytes(run.idle_kib),
            run.programmed.as_millis()
        );
        runs.push(run);
    }
    println!("\nmedian of {RUNS}                                              measured   goal");
    println!(
        "`up` to Ready (nodes Ready, DNS answers)               {:>6} ms   1000 ms",
        middle(&runs, |r| r.up.as_millis())
    );
    let idle = megabytes(middle(&runs, |r| r.idle_kib));
    println!("PSS of all processes, idle                             {idle:>6.1} MB     80 MB");
    let programmed = middle(&runs, |r| r.programmed.as_millis());
    println!("`kubectl apply` of 10 replicas until all have answered {programmed:>6} ms   3000 ms");
    Ok(())
}

fn built(profile: &str) -> Result<PathBuf, String> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile, "--workspace", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut ours = messages.filter(|message| message["target"]["name"] == "sealane");
    ours.find_map(|m| m["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "sealane was not built".into())
}

fn once(binary: &PathBuf, number: usize) -> Result<Run, String> {
    let name = format!("bench{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    let kubeconfig = directory.join("kubeconfig");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    drop(listener);
    let mut up = Command::new(binary);
    up.args(["up", "--egress", "none", "--name", &name, "--api-port", &port.to_string(), "--kubeconfig"]);
    up.arg(&kubeconfig).arg("--data-dir").arg(directory.join("data"));
    let started = Instant::now();
    let outcome = run(&mut up).and_then(|_| {
        let up = started.elapsed();
        // At rest: what only start-up needed has been given back.
        std::thread::sleep(Duration::from_secs(2));
        let idle_kib = pss(&name);
        let programmed = programmed(&kubeconfig, &directory.join("bench.yml"))?;
        Ok(Run { up, idle_kib, programmed })
    });
    let down = run(Command::new(binary).args(["down", "--name", &name]));
    let _ = std::fs::remove_dir_all(directory);
    down?;
    outcome
}

/// From `kubectl apply` until each of the ten Pods has answered through the published NodePort.
fn programmed(kubeconfig: &PathBuf, manifest: &PathBuf) -> Result<Duration, String> {
    std::fs::write(manifest, MANIFEST).map_err(|e| e.to_string())?;
    let kubectl =
        |arguments: &[&str]| run(Command::new("kubectl").env("KUBECONFIG", kubeconfig).args(arguments));
    let started = Instant::now();
    kubectl(&["apply", "-f", &manifest.display().to_string()])?;
    let port = kubectl(&["get", "svc", "bench", "-o", "jsonpath={.spec.ports[0].nodePort}"])?;
    let mut pods = std::collections::BTreeSet::new();
    while pods.len() < 10 {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(format!("after 60 s only {} Pods have answered", pods.len()));
        }
        match answer(port.parse().map_err(|_| format!("{port} is no port"))?) {
            Some(pod) => drop(pods.insert(pod)),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(started.elapsed())
}

fn answer(port: u16) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    body["pod"].as_str().map(str::to_owned)
}

/// The proportional set sizes of all processes of a cluster, in KiB.
fn pss(name: &str) -> u64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_cluster = processes.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|part| part == name)
    });
    of_cluster
        .filter_map(|process| {
            let rollup = std::fs::read_to_string(process.path().join("smaps_rollup")).ok()?;
            rollup
                .lines()
                .find_map(|l| l.strip_prefix("Pss:"))?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .sum()
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn middle<T: Ord>(runs: &[Run], of: impl Fn(&Run) -> T) -> T {
    let mut values: Vec<T> = runs.iter().map(of).collect();
    values.sort();
    values.swap_remove(values.len() / 2)
}

#[allow(clippy::cast_precision_loss, reason = "a figure to read")]
fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
