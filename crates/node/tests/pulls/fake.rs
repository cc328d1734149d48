//! A registry of a few lines, for what a real one does not do when asked: tokens, lies, broken connections.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::image::{Image, digest};

/// How it misbehaves.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// Wants a token of its own `/token`; with it, of this user only (as `Authorization` has him).
    pub(crate) token_for: Option<String>,
    /// Breaks every answer with a blob of more bytes than this off after so many.
    pub(crate) breaks_after: Option<usize>,
    /// Does not know ranges.
    pub(crate) no_ranges: bool,
    /// Sends blobs with their last byte changed.
    pub(crate) lies: bool,
    /// Sends those who want a blob there.
    pub(crate) redirects_to: Option<String>,
    /// Answers nothing but this status.
    pub(crate) status: Option<u16>,
    /// Waits so long before a manifest.
    pub(crate) delay_ms: u64,
}

/// It serves until the test's end.
pub(crate) struct Fake {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    /// Body and media type by path.
    content: Mutex<BTreeMap<String, (Vec<u8>, String)>>,
    /// `METHOD path range`.
    requests: Mutex<Vec<String>>,
    port: u16,
}

impl Fake {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (behaviour, content) = (Mutex::new(behaviour), Mutex::default());
        let shared = Arc::new(Shared { behaviour, content, requests: Mutex::default(), port });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || drop(shared.answer(&stream)));
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:PORT/REST`.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().expect("no panic") = behaviour;
    }

    /// Offers an image.
    pub(crate) fn serve(&self, image: &Image, repository: &str, tag: &str) {
        let manifest = (image.manifest(), image.media_type().to_owned());
        self.put(format!("/v2/{repository}/manifests/{tag}"), manifest.clone());
        self.put(format!("/v2/{repository}/manifests/{}", digest(&manifest.0)), manifest);
        for blob in image.layers().into_iter().chain([image.config()]) {
            self.put(
                format!("/v2/{repository}/blobs/{}", digest(&blob)),
                (blob, "application/octet-stream".into()),
            );
        }
    }

    pub(crate) fn put(&self, path: String, content: (Vec<u8>, String)) {
        self.shared.content.lock().expect("no panic").insert(path, content);
    }

    /// The requests so far whose text holds `part`.
    pub(crate) fn requests(&self, part: &str) -> Vec<String> {
        let all = self.shared.requests.lock().expect("no panic");
        all.iter().filter(|r| r.contains(part)).cloned().collect()
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut headers = BTreeMap::new();
        while let Some(line) = lines.next().transpose()?.filter(|l| !l.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let (method, path) = (first.split(' ').next().unwrap_or(""), first.split(' ').nth(1).unwrap_or(""));
        let get = |name: &str| headers.get(name).cloned().unwrap_or_default();
        self.requests.lock().expect("no panic").push(format!("{method} {path} {}", get("range")));
        let behaviour = self.behaviour.lock().expect("no panic").clone();
        if path.starts_with("/token") {
            let known = behaviour.token_for.as_deref().is_none_or(|user| get("authorization") == user);
            let body: &[u8] =
                if known { br#"{"token": "opens"}"# } else { br#"{"details": "who are you?"}"# };
            return send(stream, if known { 200 } else { 401 }, "", body, method);
        }
        if let Some(status) = behaviour.status {
            return send(stream, status, "", br#"{"errors": [{"message": "out of order"}]}"#, method);
        }
        if behaviour.token_for.is_some() && get("authorization") != "Bearer opens" {
            let port = self.port;
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"fake\"\r\n"
            );
            return send(stream, 401, &challenge, b"{}", method);
        }
        self.content_of(stream, method, path, &get("range"), &behaviour)
    }

    fn content_of(
        &self,
        stream: &TcpStream,
        method: &str,
        path: &str,
        range: &str,
        behaviour: &Behaviour,
    ) -> std::io::Result<()> {
        if path == "/v2/" {
            return send(stream, 200, "", b"{}", method);
        }
        let found = self.content.lock().expect("no panic").get(path).cloned();
        let Some((mut body, media_type)) = found else {
            return send(stream, 404, "", br#"{"errors": [{"message": "manifest unknown"}]}"#, method);
        };
        let mut head = format!("Content-Type: {media_type}\r\n");
        if !path.contains("/blobs/") {
            std::thread::sleep(std::time::Duration::from_millis(behaviour.delay_ms));
            head += &format!("Docker-Content-Digest: {}\r\n", digest(&body));
            return send(stream, 200, &head, &body, method);
        }
        if let Some(to) = &behaviour.redirects_to {
            return send(stream, 307, &format!("Location: {to}{path}\r\n"), b"", method);
        }
        if behaviour.lies {
            *body.last_mut().expect("a blob has bytes") ^= 1;
        }
        let from: usize =
            range.strip_prefix("bytes=").and_then(|r| r.trim_end_matches('-').parse().ok()).unwrap_or(0);
        let mut status = 200;
        if from > 0 && !behaviour.no_ranges {
            head += &format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            body.drain(..from);
            status = 206;
        }
        match behaviour.breaks_after.filter(|n| *n < body.len()) {
            None => send(stream, status, &head, &body, method),
            Some(n) => {
                let mut stream = stream;
                let head = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body[..n])
            }
        }
    }
}

fn send(
    mut stream: &TcpStream,
    status: u16,
    headers: &str,
    body: &[u8],
    method: &str,
) -> std::io::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(body) }
}
