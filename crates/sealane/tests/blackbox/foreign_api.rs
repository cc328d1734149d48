//! An API server with recorded objects: lists in pages, labels, refusals; and it remembers what it was asked.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A cluster of `tests/foreign`.
#[derive(Debug, Deserialize)]
struct Recorded {
    objects: Vec<Value>,
    /// Plurals that this server does not know.
    #[serde(default)]
    absent: Vec<String>,
    /// Beginnings of paths that are refused.
    #[serde(default)]
    forbidden: Vec<String>,
    /// What `pods/NAME:PORT/proxy/` fails with.
    #[serde(default)]
    refused: BTreeMap<String, String>,
}

/// The server; it ends with the test's process.
pub(crate) struct Api {
    listener: TcpListener,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    pub(crate) fn serve(cluster: &str) -> Self {
        let path = format!("{}/tests/foreign/{cluster}.yml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut document: serde_norway::Value = serde_norway::from_str(&text).unwrap();
        document.apply_merge().unwrap();
        let recorded: Arc<Recorded> = Arc::new(serde_norway::from_value(document).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (accepting, log) = (listener.try_clone().unwrap(), asked.clone());
        std::thread::spawn(move || {
            for stream in accepting.incoming().flatten() {
                let (recorded, log) = (recorded.clone(), log.clone());
                std::thread::spawn(move || converse(&recorded, &log, stream));
            }
        });
        Self { listener, asked }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Method and path of every request.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A kubeconfig for a server on this machine without TLS, with a token.
pub(crate) fn kubeconfig(directory: &Path, port: u16) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "there",
        "clusters": [{"name": "there", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "me", "user": {"token": "recorded"}}],
        "contexts": [{"name": "there", "context": {"cluster": "there", "user": "me", "namespace": "shop"}}],
    });
    let path = directory.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path.display().to_string()
}

/// Answers requests on one connection until the client closes it.
fn converse(recorded: &Recorded, log: &Mutex<Vec<String>>, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let request = head.split(" HTTP/").next().unwrap().to_owned();
        assert!(head.contains("authorization: Bearer recorded"), "{head}");
        log.lock().unwrap().push(request.clone());
        let (code, body) = answer(recorded, request.split_once(' ').unwrap_or(("", "")).1);
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(recorded: &Recorded, uri: &str) -> (u16, Value) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    if let Some(why) = recorded.refused.iter().find_map(|(part, why)| path.contains(part).then_some(why)) {
        return status(503, "ServiceUnavailable", why);
    }
    let plural = path.rsplit('/').next().unwrap_or_default();
    let namespace =
        path.split_once("/namespaces/").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    if recorded.forbidden.iter().any(|refused| path.starts_with(refused.as_str())) {
        let why = format!("{plural} is forbidden: User \"me\" cannot list resource \"{plural}\"");
        return status(403, "Forbidden", &why);
    }
    if recorded.absent.iter().any(|absent| absent == plural) || path.contains("/proxy/") {
        return status(404, "NotFound", "the server could not find the requested resource");
    }
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), decode(v)))
        .collect();
    let wanted = |object: &&Value| {
        let own = object["metadata"]["namespace"].as_str();
        plural_of(object["kind"].as_str().unwrap()) == plural
            && namespace.is_none_or(|namespace| own == Some(namespace))
            && query.get("labelSelector").is_none_or(|selector| selected(object, selector))
    };
    let found: Vec<&Value> = recorded.objects.iter().filter(wanted).collect();
    let from = query.get("continue").map_or(0, |token| token.parse().unwrap());
    // Small pages, so that there are several.
    let page: Vec<Value> = found.iter().skip(from).take(2).map(|object| bare(object)).collect();
    let next = from + page.len();
    let more = if next < found.len() { next.to_string() } else { String::new() };
    (
        200,
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": more, "shardInfo": {"new": 1}}, "items": page}),
    )
}

/// As a list has it: without kind and version.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    fields.remove("kind");
    fields.remove("apiVersion");
    object
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}),
    )
}

fn plural_of(kind: &str) -> String {
    match kind {
        "NetworkPolicy" => "networkpolicies".into(),
        "Ingress" => "ingresses".into(),
        kind => kind.to_lowercase() + "s",
    }
}

/// Equality and `key in (a,b)`.
fn selected(object: &Value, selector: &str) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned();
    match selector.split_once(" in (") {
        Some((key, values)) => values.trim_end_matches(')').split(',').any(|value| label(key) == value),
        None => selector
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .all(|(key, value)| label(key) == value),
    }
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let hex = |digit: Option<u8>| char::from(digit.unwrap()).to_digit(16).unwrap();
        let plain = if byte == b'%' {
            u8::try_from(hex(bytes.next()) * 16 + hex(bytes.next())).unwrap()
        } else {
            byte
        };
        decoded.push(plain);
    }
    String::from_utf8(decoded).unwrap()
}
