//! Debian's docker-registry in a process of the test's, and a pusher of plain HTTP requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;

use crate::image::Image;

/// `user` and `secret`, as `htpasswd -B` writes them.
const HTPASSWD: &str = "user:$2b$04$9tFtxoeDa7NAQRXMbIVgEet2nAQOGBf6ALR6CtOpC53K4XLzzSCnK\n";
pub(crate) const USER: (&str, &str) = ("user", "secret");

/// A registry that is gone with the test.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    authorization: Option<String>,
    _dir: tempfile::TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::start_with(false)
    }

    /// One that wants name and password.
    pub(crate) fn with_password() -> Self {
        Self::start_with(true)
    }

    fn start_with(password: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let at = dir.path().display();
        std::fs::write(dir.path().join("htpasswd"), HTPASSWD).expect("writable");
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n{}",
            if password { auth.as_str() } else { "" }
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).expect("writable");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry; scripts/setup.sh installs it");
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", USER.0, USER.1));
        let authorization = password.then(|| format!("Basic {pair}"));
        let registry = Self { child, port, authorization, _dir: dir };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "docker-registry listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// `localhost:PORT/REST`.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("localhost:{}/{rest}", self.port)
    }

    /// Pushes an image's blobs and its manifest under a tag.
    pub(crate) fn push(&self, image: &Image, repository: &str, tag: &str) {
        self.push_blob(repository, &image.config());
        for layer in image.layers() {
            self.push_blob(repository, &layer);
        }
        self.push_manifest(repository, tag, image.media_type(), &image.manifest());
    }

    pub(crate) fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let (status, _) = self.request("PUT", &path, &format!("Content-Type: {media_type}\r\n"), bytes);
        assert_eq!(status, 201, "a manifest is taken");
    }

    fn push_blob(&self, repository: &str, blob: &[u8]) {
        let (status, location) = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        assert_eq!(status, 202, "an upload begins");
        let path =
            location.split_once("//").and_then(|(_, rest)| rest.split_once('/')).expect("a location").1;
        let digest = crate::image::digest(blob);
        let octets = "Content-Type: application/octet-stream\r\n";
        let (status, _) = self.request("PUT", &format!("/{path}&digest={digest}"), octets, blob);
        assert_eq!(status, 201, "a blob is taken");
    }

    /// Status and `Location`.
    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let authorization = self.authorization.as_ref().map(|a| format!("Authorization: {a}\r\n"));
        let (port, length) = (self.port, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}{}\r\n",
            authorization.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut location = String::new();
        loop {
            line.clear();
            reader.read_line(&mut line).expect("a header");
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("location") => {
                    location = value.trim().to_owned()
                }
                Some(_) => {}
                None => break,
            }
        }
        reader.read_to_end(&mut Vec::new()).expect("a body");
        (status, location)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
