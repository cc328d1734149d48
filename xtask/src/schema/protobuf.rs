//! Reads protobuf field numbers out of prost's generated source (crate k8s-pb).

use std::{collections::BTreeMap, fs, path::Path};

/// One field of a message.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The name, lower case and without underscores (prost's snake case has lost the original one).
    pub(super) name: String,
    /// The field number.
    pub(super) number: u32,
    /// The last segment of the Rust type, for messages; folded like the name.
    pub(super) message: String,
    /// The value that Go's `+default=` marker gives it, or the empty string.
    pub(super) default: String,
}

/// Messages by `PACKAGE.NAME`, all folded (`core.v1.serviceport`).
pub(super) type Messages = BTreeMap<String, Vec<Field>>;

/// Lower case and without underscores.
pub(super) fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// Reads `api/*/*/mod.rs` and the meta types.
pub(super) fn read(src: &Path) -> Result<Messages, String> {
    let mut messages = Messages::new();
    parse(&src.join("apimachinery/pkg/apis/meta/v1/mod.rs"), "meta.v1", &mut messages)?;
    for group in directories(&src.join("api"))? {
        for version in directories(&src.join("api").join(&group))? {
            let file = src.join("api").join(&group).join(&version).join("mod.rs");
            parse(&file, &format!("{group}.{version}"), &mut messages)?;
        }
    }
    Ok(messages)
}

fn directories(path: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(path).map_err(|e| format!("cannot list {}: {e}", path.display()))?;
    let names = entries.flatten().filter(|e| e.path().is_dir());
    Ok(names.map(|e| e.file_name().to_string_lossy().into_owned()).collect())
}

fn parse(path: &Path, package: &str, messages: &mut Messages) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mut message = String::new();
    let mut number = None;
    let mut default = String::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.trim_end_matches(['{', '}', ' ']);
            message = format!("{package}.{}", fold(name));
            default.clear();
            messages.entry(message.clone()).or_default();
        } else if line.starts_with("#[prost(") {
            number = tag(line);
        } else if let Some(value) = line.strip_prefix("/// +default=") {
            default = value.trim_matches('"').to_owned();
        } else if let (Some(rest), Some(tag)) = (line.strip_prefix("pub "), number) {
            number = None;
            let mut declaration = rest.to_owned();
            while !declaration.ends_with(',') {
                let Some(more) = lines.next() else { break };
                declaration.push_str(more);
            }
            let Some((name, rust_type)) = declaration.split_once(':') else { continue };
            let name = name.strip_prefix("r#").unwrap_or(name);
            let message_type = last_segment(rust_type);
            let default = std::mem::take(&mut default);
            let field = Field { name: fold(name), number: tag, message: message_type, default };
            messages.entry(message.clone()).or_default().push(field);
        }
    }
    Ok(())
}

fn tag(line: &str) -> Option<u32> {
    line.split_once("tag = \"")?.1.split_once('"')?.0.parse().ok()
}

fn last_segment(rust_type: &str) -> String {
    let inner = rust_type.trim_end_matches([',', '>', ' ']);
    fold(inner.rsplit([':', '<', ' ']).next().unwrap_or_default())
}
