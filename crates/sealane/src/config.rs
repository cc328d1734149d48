//! `--config FILE`: the flags of `up` as YAML, a key for each, named as the flag without its dashes.
//!
//! A flag on the command line comes before the environment, the environment before the file.

use crate::cli::UpArgs;
use clap::{Args, Command};
use serde_norway::{Mapping, Value};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}", path = .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a YAML mapping of settings such as `nodes: 3`: {why}", path = .path.display())]
    NoMapping { path: PathBuf, why: String },
    #[error("{path}: there is no setting {key}; {hint}", path = .path.display())]
    Unknown { path: PathBuf, key: String, hint: String },
    #[error("{path}: {key} must be one value, such as `{key}: 3`", path = .path.display())]
    NotOneValue { path: PathBuf, key: String },
}

/// The command line with the settings of the file put in right after `up`, where what was typed overrides them.
pub(crate) fn expand(arguments: &[OsString], path: &Path) -> Result<Vec<OsString>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let flags = flags(path, &text, |name| std::env::var_os(name).is_some())?;
    let after = arguments.iter().position(|a| a == "up").map_or(arguments.len(), |at| at + 1);
    let (before, rest) = arguments.split_at(after);
    Ok(before
        .iter()
        .cloned()
        .chain(flags.into_iter().map(OsString::from))
        .chain(rest.iter().cloned())
        .collect())
}

fn flags(path: &Path, text: &str, in_environment: impl Fn(&str) -> bool) -> Result<Vec<String>, ConfigError> {
    let no_mapping = |why: String| ConfigError::NoMapping { path: path.to_owned(), why };
    let settings: Option<Mapping> = serde_norway::from_str(text).map_err(|e| no_mapping(e.to_string()))?;
    let command = UpArgs::augment_args(Command::new("up"));
    let mut flags = Vec::new();
    for (key, value) in settings.unwrap_or_default() {
        let key = key.as_str().map(str::to_owned).ok_or_else(|| no_mapping("a key is not a word".into()))?;
        let known = command.get_arguments().find(|a| a.get_long() == Some(&key) && key != "config");
        let Some(argument) = known else {
            return Err(ConfigError::Unknown { path: path.to_owned(), hint: hint(&command, &key), key });
        };
        if argument.get_env().is_some_and(|name| in_environment(&name.to_string_lossy())) {
            continue;
        }
        match value {
            Value::Bool(true) => flags.push(format!("--{key}")),
            Value::Bool(false) | Value::Null => {}
            Value::String(text) => flags.push(format!("--{key}={text}")),
            Value::Number(number) => flags.push(format!("--{key}={number}")),
            _ => return Err(ConfigError::NotOneValue { path: path.to_owned(), key }),
        }
    }
    Ok(flags)
}

/// The setting that was probably meant, or all there are.
fn hint(command: &Command, key: &str) -> String {
    let names = || command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "config");
    let written = key.to_lowercase().replace('_', "-");
    let closest = names().min_by_key(|name| strsim::osa_distance(&written, name));
    match closest.filter(|name| strsim::osa_distance(&written, name) <= 3) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        flags(Path::new("c.yml"), text, |name| name == "SEALANE_API_PORT").map_err(|e| e.to_string())
    }

    #[test]
    fn settings_become_flags_unless_the_environment_has_them() {
        let text = "nodes: 3\nservice-cidr: 10.1.0.0/16\nforeground: true\nkubeconfig:\napi-port: 7000\n";
        assert_eq!(read(text).unwrap(), ["--nodes=3", "--service-cidr=10.1.0.0/16", "--foreground"]);
        assert_eq!(read("# nothing\n").unwrap(), [""; 0]);
    }

    #[test]
    fn a_wrong_key_names_the_right_one() {
        assert_eq!(read("nodse: 3").unwrap_err(), "c.yml: there is no setting nodse; did you mean nodes?");
        assert!(read("serviceCidr: x").unwrap_err().ends_with("did you mean service-cidr?"));
        assert!(read("frobnicate: x").unwrap_err().contains("there are name, "));
        assert!(read("config: x").is_err());
        assert!(read("nodes: [3]").unwrap_err().contains("`nodes: 3`"));
        assert!(read("- 3").unwrap_err().contains("not a YAML mapping"));
    }

    #[test]
    fn what_was_typed_comes_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yml");
        std::fs::write(&path, "egress: none\n").unwrap();
        let typed = ["sealane", "up", "--egress", "nat"].map(OsString::from);
        assert_eq!(expand(&typed, &path).unwrap(), ["sealane", "up", "--egress=none", "--egress", "nat"]);
    }
}
