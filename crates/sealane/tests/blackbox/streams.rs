//! What reaches into Pods: port-forward, proxy, exec, attach, cp and logs, with the real kubectl, over websockets and over SPDY.

use crate::harness::{Cluster, sealane, succeeds, within};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: web
    image: localhost/hello:4.1
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
---
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: echo
    image: localhost/busybox
    stdin: true
    command: [sh, -c, 'while read -r line; do echo \"heard $line\"; done']
  - name: count
    image: localhost/busybox
    command: [sh, -c, 'for i in 1 2 3; do echo count $i; done; sleep 3600']
---
apiVersion: v1
kind: Pod
metadata: {name: dies, labels: {app: box}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: dies, image: localhost/busybox, command: [sh, -c, 'date +%N; echo last words; exit 3']}
";

/// Makes a `docker save` archive of the machine's static busybox.
const ARCHIVE: &str = r#"
set -e; cd "$1"; mkdir -p root/bin root/tmp image; cp /bin/busybox root/bin/
for applet in sh cat tar sleep echo stty tty date; do ln -s busybox root/bin/$applet; done
tar -cf image/layer.tar -C root .
id=$(sha256sum image/layer.tar | cut -d' ' -f1)
echo '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:'$id'"]}}' > image/config.json
echo '[{"Config":"config.json","RepoTags":["localhost/busybox:latest"],"Layers":["layer.tar"]}]' > image/manifest.json
tar -cf busybox.tar -C image .
"#;

/// What makes kubectl use websockets, or SPDY as older ones do.
const PROTOCOLS: [&str; 2] = ["true", "false"];

/// A kubectl that goes on until it is dropped.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(cluster: &Cluster, websockets: &str, arguments: &[&str]) -> Self {
        let mut command = kubectl(cluster, websockets, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// The local port in the line that says where it listens.
    fn port(&mut self) -> u16 {
        let line = self.line();
        let after = line.split("127.0.0.1:").nth(1).unwrap_or_else(|| panic!("no address in {line:?}"));
        after.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Ends it and returns what it said on stderr.
    fn end(mut self) -> String {
        self.terminate();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// The signal that `timeout` hands on; it would not outlive a harder one and leave kubectl behind.
    fn terminate(&self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).output();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.child.wait();
    }
}

fn kubectl(cluster: &Cluster, websockets: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", "kubectl"]).args(arguments).env("KUBECONFIG", cluster.kubeconfig());
    command.env("KUBECACHEDIR", cluster.directory.path().join("cache"));
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
    command
}

/// Runs kubectl with something on its standard input.
fn with_input(cluster: &Cluster, websockets: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = kubectl(cluster, websockets, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

/// Sends the head of a request; `answer` reads what comes back.
fn request(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    stream.write_all(b"\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn kubectl_reaches_into_pods() {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    let directory = cluster.directory.path().display().to_string();
    succeeds(&Command::new("sh").args(["-c", ARCHIVE, "sh", &directory]).output().unwrap());
    let archive = format!("{directory}/busybox.tar");
    succeeds(&sealane(&["image", "load", "--name", &cluster.name, &archive]));
    cluster.apply(PODS);
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "pod/web", "pod/box", "--timeout=60s"]);
    for websockets in PROTOCOLS {
        ports_are_forwarded(&cluster, websockets);
        commands_are_run(&cluster, websockets);
        containers_are_attached_to(&cluster, websockets);
        files_are_copied(&cluster, websockets);
    }
    services_pods_and_nodes_are_proxied_to(&cluster);
    logs_are_shown(&cluster);
}

fn ports_are_forwarded(cluster: &Cluster, websockets: &str) {
    for target in ["svc/web", "pod/web"] {
        let remote = if target == "svc/web" { ":80" } else { ":8080" };
        let mut forward = Running::start(cluster, websockets, &["port-forward", target, remote]);
        let port = forward.port();
        // The first request is under way until the second has been answered.
        let (first, second) = (request(port), request(port));
        for stream in [second, first] {
            let text = answer(stream);
            assert!(text.starts_with("HTTP/1.1 200") && text.contains("web"), "{target}: {text}");
        }
    }
    let mut forward = Running::start(cluster, websockets, &["port-forward", "pod/web", ":1"]);
    let port = forward.port();
    let mut stream = request(port);
    let mut text = String::new();
    assert!(!matches!(stream.read_to_string(&mut text), Ok(1..)), "{text}");
    let said = forward.end();
    assert!(said.contains("failed to connect to localhost:1 inside namespace"), "{said}");
}

fn commands_are_run(cluster: &Cluster, websockets: &str) {
    let exec = |arguments: &[&str], input: &[u8]| {
        let all = [&["exec", "-i", "box", "-c", "count", "--"], arguments].concat();
        with_input(cluster, websockets, &all, input)
    };
    let output = exec(&["sh", "-c", "cat; echo no >&2; exit 7"], b"hello");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("hello", Some(7)));
    assert!(text(&output.stderr).starts_with("no\n"), "{}", text(&output.stderr));
    // More than any buffer on the way holds, and back.
    let much: Vec<u8> = (0..5_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let output = exec(&["cat"], &much);
    assert!(output.status.success() && output.stdout == much, "{}", text(&output.stderr));
    let output = exec(&["no-such-command"], b"");
    assert!(!output.status.success() && text(&output.stderr).contains("no-such-command"));

    // A terminal of a terminal: its size goes along.
    let kubectl = "stty rows 33 cols 77; kubectl exec -it box -c count -- sh -c 'sleep 0.3; tty; stty size'";
    let mut script = Command::new("script");
    script.args(["-qec", kubectl, "/dev/null"]).env("KUBECONFIG", cluster.kubeconfig());
    script.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).stdin(Stdio::null());
    let said = succeeds(&script.output().unwrap());
    assert!(said.contains("/dev/") && said.contains("33 77"), "{said}");
}

fn containers_are_attached_to(cluster: &Cluster, websockets: &str) {
    let mut attach = Running::start(cluster, websockets, &["attach", "-i", "-q", "box", "-c", "echo"]);
    let mut stdin = attach.child.stdin.take().unwrap();
    for word in ["one", "two"] {
        stdin.write_all(format!("{word}\n").as_bytes()).unwrap();
        assert_eq!(attach.line(), format!("heard {word}\n"));
    }
    drop(attach);
    let run =
        ["run", "once", "--image=localhost/busybox", "--restart=Never", "-i", "--rm", "-q", "--", "cat"];
    let output = with_input(cluster, websockets, &run, b"through and through\n");
    let said = succeeds(&output);
    assert!(said.contains("through and through"), "{said}");
    assert!(!cluster.kubectl(&["get", "pod", "once"]).status.success(), "it was removed");
}

fn files_are_copied(cluster: &Cluster, websockets: &str) {
    let here = cluster.directory.path().join(format!("files-{websockets}"));
    std::fs::create_dir_all(here.join("in")).unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[2]).collect();
    std::fs::write(here.join("large"), &content).unwrap();
    std::fs::write(here.join("in/small"), "small").unwrap();
    let there = format!("box:/tmp/files-{websockets}");
    let back = format!("{}-back", here.display());
    for (from, to) in [(here.display().to_string(), there.clone()), (there, back.clone())] {
        succeeds(&kubectl(cluster, websockets, &["cp", "-c", "count", &from, &to]).output().unwrap());
    }
    assert_eq!(std::fs::read(format!("{back}/large")).unwrap(), content);
    assert_eq!(std::fs::read(format!("{back}/in/small")).unwrap(), b"small");
}

fn services_pods_and_nodes_are_proxied_to(cluster: &Cluster) {
    let namespace = "/api/v1/namespaces/default";
    for path in
        ["services/web:http/proxy/", "services/http:web:80/proxy/", "pods/web/proxy/", "pods/web:8080/proxy/"]
    {
        let page = cluster.kubectl_ok(&["get", "--raw", &format!("{namespace}/{path}")]);
        assert!(page.contains("web"), "{path}: {page}");
    }
    let node = cluster.kubectl_ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    assert_eq!(cluster.kubectl_ok(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/healthz")]), "ok");
    let refused = cluster.kubectl(&["get", "--raw", &format!("{namespace}/services/web:99/proxy/")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no service port 99 found for service"), "{said}");

    let mut proxy = Running::start(cluster, "true", &["proxy", "--port=0"]);
    let port = proxy.port();
    let fetch = |arguments: &[&str], path: &str| {
        let url = format!("http://127.0.0.1:{port}{namespace}/{path}");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "*", "-m", "10"]).args(arguments).arg(url);
        succeeds(&curl.output().unwrap())
    };
    assert!(fetch(&["-H", "Accept: application/json"], "services/web:http/proxy/").contains("\"pod\":"));
    let head = fetch(&["-i"], "services/web:http/proxy");
    assert!(head.starts_with("HTTP/1.1 301") && head.contains("/services/web:http/proxy/\r\n"), "{head}");
    fetch(&["-X", "POST"], "pods/web:8080/proxy/readyz/off");
    within(Duration::from_secs(20), "no endpoint is ready", || {
        let said = fetch(&[], "services/web:http/proxy/");
        if said.contains("no endpoints available for service") { Ok(()) } else { Err(said) }
    });
    fetch(&["-X", "POST"], "pods/web:8080/proxy/readyz/on");
}

fn logs_are_shown(cluster: &Cluster) {
    let logs = |arguments: &[&str]| cluster.kubectl_ok(&[&["logs"], arguments].concat());
    assert_eq!(logs(&["box", "-c", "count"]), "count 1\ncount 2\ncount 3\n");
    assert_eq!(logs(&["box", "-c", "count", "--tail=1"]), "count 3\n");
    assert_eq!(logs(&["box", "-c", "count", "--since=1h"]), "count 1\ncount 2\ncount 3\n");
    assert_eq!(logs(&["box", "-c", "count", "--since-time=2999-01-01T00:00:00Z"]), "");
    let stamped = logs(&["box", "-c", "count", "--timestamps", "--tail=1"]);
    assert!(stamped.starts_with("20") && stamped.ends_with("Z count 3\n"), "{stamped}");
    let all = logs(&["box", "--all-containers", "--prefix"]);
    assert!(all.contains("[pod/box/count] count 1") && all.contains("[pod/box/echo] heard one"), "{all}");
    assert!(logs(&["-l", "app=box", "--all-containers"]).contains("count 1"));
    within(Duration::from_secs(60), "a second start", || {
        let previous = cluster.kubectl(&["logs", "dies", "--previous"]);
        let said = String::from_utf8_lossy(&previous.stdout).into_owned();
        if said.ends_with("last words\n") { Ok(()) } else { Err(format!("{previous:?}")) }
    });
    // The last line there is says that it follows from here on; with --tail=0 the next one could come before it does.
    let mut follow = Running::start(cluster, "true", &["logs", "-f", "box", "-c", "echo", "--tail=1"]);
    assert_eq!(follow.line(), "heard two\n");
    let mut attach = Running::start(cluster, "true", &["attach", "-i", "-q", "box", "-c", "echo"]);
    attach.child.stdin.as_mut().unwrap().write_all(b"followed\n").unwrap();
    assert_eq!(attach.line(), "heard followed\n");
    assert_eq!(follow.line(), "heard followed\n");
}
