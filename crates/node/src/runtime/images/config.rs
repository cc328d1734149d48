//! An image's configuration: what the OCI image specification calls `config`, reduced to what a container needs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An image in the store, ready to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// The digest of its configuration, `sha256:…`: the image's id.
    pub id: String,
    /// Its full names, the one that was asked for first.
    pub names: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// Working directory; empty is `/`.
    pub working_dir: String,
    /// `user`, `uid`, `user:group`, …; empty is root.
    pub user: String,
    /// `SIGTERM`, `15`, …; empty is SIGTERM.
    pub stop_signal: String,
    /// Ports as the image documents them, `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// The unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
}

/// The stored document, as OCI and Docker write it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    config: Option<ConfigSection>,
    pub(super) rootfs: RootFs,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ConfigSection {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    exposed_ports: Option<std::collections::BTreeMap<String, serde_json::Value>>,
}

/// The layers' digests.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    /// Of the uncompressed tars, lowest first, `sha256:…`.
    pub(super) diff_ids: Vec<String>,
}

impl ConfigFile {
    /// The image that this configuration describes, with its layers below `layers_dir`.
    pub(super) fn into_image(self, id: String, names: Vec<String>, layers_dir: &Path) -> Image {
        let section = self.config.unwrap_or_default();
        let pair = |e: String| match e.split_once('=') {
            Some((k, v)) => (k.to_owned(), v.to_owned()),
            None => (e, String::new()),
        };
        Image {
            id,
            names,
            env: section.env.unwrap_or_default().into_iter().map(pair).collect(),
            entrypoint: section.entrypoint.unwrap_or_default(),
            cmd: section.cmd.unwrap_or_default(),
            working_dir: section.working_dir.unwrap_or_default(),
            user: section.user.unwrap_or_default(),
            stop_signal: section.stop_signal.unwrap_or_default(),
            exposed_ports: section.exposed_ports.unwrap_or_default().into_keys().collect(),
            layers: self.rootfs.diff_ids.iter().map(|d| layers_dir.join(hex(d))).collect(),
        }
    }
}

/// A digest without its algorithm: a file name.
pub(super) fn hex(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, h)| h)
}

/// Whether this is a SHA-256 digest as image documents write it (so that it is also a safe file name).
pub(super) fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))
}
