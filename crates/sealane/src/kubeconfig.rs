//! The cluster's context in the user's kubeconfig: merged in by `up` and made current, taken out by `down`.
//!
//! The file is changed under kubectl's own lock (`FILE.lock`) and replaced atomically; what others put there stays.

use crate::cluster::write_atomically;
use crate::pki::Identity;
use base64::Engine;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why the kubeconfig could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubeconfigError {
    #[error("cannot {doing} the kubeconfig {path}", path = .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the kubeconfig {path} is not valid YAML ({why}); mend it or name another with --kubeconfig", path = .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("the kubeconfig is locked: {path} exists; if no kubectl runs, remove that file", path = .path.display())]
    Locked { path: PathBuf },
}

/// Where kubectl looks: the first file of `$KUBECONFIG`, or `~/.kube/config`. Under sudo, that of the user who called it.
pub(crate) fn default_path() -> PathBuf {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty())
    {
        return first;
    }
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    home.join(".kube/config")
}

/// The name of the cluster's context.
pub(crate) fn context_name(cluster: &str) -> String {
    format!("sealane-{cluster}")
}

/// Merges the context in and makes it the current one.
pub(crate) fn merge(
    path: &Path,
    cluster: &str,
    server: &str,
    ca: &str,
    admin: &Identity,
) -> Result<(), KubeconfigError> {
    let name = context_name(cluster);
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    change(path, |config| {
        put(
            config,
            "clusters",
            &name,
            "cluster",
            json!({"certificate-authority-data": encode(ca), "server": server}),
        );
        let user = json!({
            "client-certificate-data": encode(&admin.certificate), "client-key-data": encode(&admin.key),
        });
        put(config, "users", &name, "user", user);
        put(config, "contexts", &name, "context", json!({"cluster": name, "user": name}));
        config["current-context"] = json!(name);
        true
    })
}

/// Takes the context out; the file goes if nothing else is in it.
pub(crate) fn remove(path: &Path, cluster: &str) -> Result<(), KubeconfigError> {
    if !path.exists() {
        return Ok(());
    }
    let name = context_name(cluster);
    change(path, |config| {
        for list in ["clusters", "users", "contexts"] {
            if let Some(items) = config[list].as_array_mut() {
                items.retain(|item| item["name"] != name.as_str());
            }
        }
        if config["current-context"] == name.as_str() {
            config["current-context"] = json!("");
        }
        ["clusters", "users", "contexts"]
            .iter()
            .any(|list| config[*list].as_array().is_some_and(|l| !l.is_empty()))
    })
}

fn put(config: &mut Value, list: &str, name: &str, key: &str, value: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let items = config[list].as_array_mut().expect("just made one");
    items.retain(|item| item["name"] != name);
    items.push(json!({"name": name, key: value}));
}

/// Changes the file under its lock; `edit` says whether anything is left to keep.
fn change(path: &Path, edit: impl FnOnce(&mut Value) -> bool) -> Result<(), KubeconfigError> {
    let io = |doing| move |source| KubeconfigError::Io { doing, path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(io("make the directory of"))?;
    }
    let _lock = Lock::take(path)?;
    let mut config = read(path)?;
    if edit(&mut config) {
        let text = serde_norway::to_string(&config).expect("JSON is YAML");
        write_atomically(path, text.as_bytes(), 0o600).map_err(io("write"))?;
        give_to_sudo_user(path);
    } else {
        std::fs::remove_file(path).map_err(io("remove"))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, KubeconfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(KubeconfigError::Io { doing: "read", path: path.to_owned(), source }),
    };
    let damaged = |why: String| KubeconfigError::Damaged { path: path.to_owned(), why };
    let config: Value = if text.trim().is_empty() {
        Value::Null
    } else {
        serde_norway::from_str(&text).map_err(|e| damaged(e.to_string()))?
    };
    match config {
        Value::Null => Ok(json!({"apiVersion": "v1", "kind": "Config", "preferences": {}})),
        Value::Object(_) => Ok(config),
        _ => Err(damaged("it is not a mapping".into())),
    }
}

/// Under sudo the file stays the user's own.
fn give_to_sudo_user(path: &Path) {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) {
        let _ = std::os::unix::fs::chown(path, Some(uid), Some(gid));
    }
}

/// kubectl's lock file, removed on drop.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, KubeconfigError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    if Instant::now() > end {
                        return Err(KubeconfigError::Locked { path: lock });
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(source) => {
                    return Err(KubeconfigError::Io { doing: "lock", path: path.to_owned(), source });
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { certificate: "c".into(), key: "k".into() }
    }

    #[test]
    fn a_context_comes_and_goes_and_the_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/config");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let other = "apiVersion: v1\nkind: Config\ncontexts:\n- name: other\n  context: {cluster: c, user: u}\ncurrent-context: other\n";
        std::fs::write(&path, other).unwrap();
        merge(&path, "a", "https://127.0.0.1:1", "ca", &identity()).unwrap();
        let config = read(&path).unwrap();
        assert_eq!(config["current-context"], "sealane-a");
        assert_eq!(config["contexts"].as_array().unwrap().len(), 2);
        merge(&path, "a", "https://127.0.0.1:2", "ca", &identity()).unwrap();
        assert_eq!(
            read(&path).unwrap()["clusters"].as_array().unwrap().len(),
            1,
            "merged twice is there once"
        );
        remove(&path, "a").unwrap();
        let config = read(&path).unwrap();
        assert_eq!(config["contexts"][0]["name"], "other");
        assert_eq!(config["clusters"], json!([]));
        assert!(!directory.path().join("sub/config.lock").exists());
    }

    #[test]
    fn a_file_that_held_nothing_else_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        merge(&path, "a", "https://127.0.0.1:1", "ca", &identity()).unwrap();
        remove(&path, "a").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, "- a\n- b: [").unwrap();
        let error = merge(&path, "a", "https://127.0.0.1:1", "ca", &identity()).unwrap_err();
        assert!(matches!(error, KubeconfigError::Damaged { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "- a\n- b: [");
    }
}
