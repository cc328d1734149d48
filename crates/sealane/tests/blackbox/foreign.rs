//! `explain` and `check` on API servers that are not ours: objects of other distributions' clusters, served read-only. Any verb but
//! get and list fails the test, and so does a look at Secrets.

use crate::foreign_api::{Api, kubeconfig};
use serde_json::Value;
use std::process::{Command, Output};

/// Runs the binary against a recorded cluster, and returns its answer and the paths that it asked for.
fn look(cluster: &str, arguments: &[&str]) -> (Output, Vec<String>) {
    let api = Api::serve(cluster);
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(directory.path(), api.port());
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_sealane")).args(arguments).args(["--kubeconfig", &kubeconfig]);
    let output = command.env("HTTPS_PROXY", "http://192.0.2.1:1").output().unwrap();
    let asked = api.asked();
    for request in &asked {
        assert!(request.starts_with("GET /") && !request.contains("secret"), "only reads: {request}");
    }
    (output, asked)
}

/// Each finding's severity, cause, object and message.
fn findings(output: &Output) -> Vec<String> {
    let (text, error) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(text).unwrap_or_else(|e| panic!("{e}: {error}"));
    let findings = value["findings"].as_array().unwrap();
    let code = if findings.is_empty() { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(code), "{error}");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let line = |f: &Value| {
        let (namespace, name) = (text(&f["object"]["namespace"]), text(&f["object"]["name"]));
        format!("{} {} {namespace}/{name}: {}", text(&f["severity"]), text(&f["cause"]), text(&f["message"]))
    };
    findings.iter().map(line).collect()
}

#[test]
fn other_distributions_are_explained_read_only() {
    for cluster in ["eks", "k3s", "kubeadm", "openshift"] {
        let (output, asked) = look(cluster, &["check", "-A", "-o", "json"]);
        let path = format!("{}/tests/foreign/{cluster}.txt", env!("CARGO_MANIFEST_DIR"));
        let found = findings(&output).join("\n") + "\n";
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{cluster}");
        assert!(asked.len() >= 13 && !asked.iter().any(|path| path.contains("/proxy/")), "{asked:?}");
    }
}

#[test]
fn one_service_is_explained_from_its_own_namespace() {
    let (output, asked) = look("eks", &["explain", "svc/checkout", "-n", "shop"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("Service shop/checkout: "), "{said}");
    let lists = asked.iter().filter(|path| path.contains("/pods"));
    let elsewhere: Vec<_> =
        lists.filter(|p| !p.contains("/namespaces/shop/") && !p.contains("labelSelector")).collect();
    assert!(elsewhere.is_empty(), "other namespaces' Pods only by label: {elsewhere:?}");
}

#[test]
fn ports_are_tried_only_on_request() {
    let explain = ["explain", "svc/cart", "-n", "shop", "-o", "json"];
    let (output, asked) = look("eks", &explain);
    assert!(!asked.iter().any(|path| path.contains("/proxy/")), "{asked:?}");
    assert!(findings(&output).is_empty(), "nobody knows");
    let (output, asked) = look("eks", &[&explain[..], &["--probe"]].concat());
    assert!(asked.iter().any(|path| path.contains("/pods/cart-6b7f9c5d4-2xkqp:8080/proxy/")), "{asked:?}");
    assert!(findings(&output)[0].contains("target-port-not-served shop/cart"), "{:?}", findings(&output));
}

#[test]
fn what_cannot_be_reached_is_said_in_one_sentence() {
    let (output, _) = look("k3s", &["check", "--context", "elsewhere"]);
    let said = crate::harness::refuses(&output);
    assert!(said.contains("the kubeconfig has no context elsewhere, only: there"), "{said}");
    let (output, _) = look("k3s", &["explain", "svc/senser", "-n", "shop"]);
    let said = crate::harness::refuses(&output);
    assert!(said.contains("there is no Service senser in namespace shop; did you mean sensor?"), "{said}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(directory.path(), listener.local_addr().unwrap().port());
    drop(listener);
    let said = crate::harness::refuses(&crate::harness::sealane(&["check", "--kubeconfig", &kubeconfig]));
    assert!(said.contains("cannot list services at http://127.0.0.1:") && said.contains("refused"), "{said}");
}

#[test]
fn what_may_not_be_read_is_said() {
    let (output, _) = look("openshift", &["check", "-n", "shop"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not looked for, since nodes cannot be read (nodes is forbidden"), "{said}");
    let (output, _) = look("openshift", &["check", "-n", "closed"]);
    let said = crate::harness::refuses(&output);
    assert!(
        said.contains("cannot list services at http://127.0.0.1:") && said.contains("services is forbidden"),
        "{said}"
    );
}
