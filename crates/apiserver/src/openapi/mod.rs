//! `/openapi/v3`: one document a group version, derived from the schema and the table of kinds.
//!
//! kubectl reads patch keys and field validation from it (apply, diff) and texts (explain). Documents are made when asked
//! for and kept; their hashes are made together, once, so that a URL with a hash never names another content.

mod paths;
mod schemas;

use crate::kinds;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// `/openapi/v3`: where the documents are, with their hashes.
#[must_use]
pub fn index() -> Value {
    let mut found = Map::new();
    for ((group, version), hash) in hashes() {
        let path = api_path(group, version);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        found.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": found})
}

/// The document of a group version that is served.
#[must_use]
pub fn document(group: &str, version: &str) -> Option<&'static [u8]> {
    type Documents = Mutex<HashMap<(&'static str, &'static str), &'static [u8]>>;
    static DOCUMENTS: OnceLock<Documents> = OnceLock::new();
    let (key, _) = hashes().iter().find(|((g, v), _)| *g == group && *v == version)?;
    let mut documents = DOCUMENTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    // Leaked once a group version, for the life of the process.
    Some(documents.entry(*key).or_insert_with(|| render(group, version).into_bytes().leak()))
}

/// The hash of the document of a group version, as in [`index`]: its ETag.
#[must_use]
pub fn etag(group: &str, version: &str) -> Option<String> {
    hashes().iter().find(|((g, v), _)| *g == group && *v == version).map(|(_, hash)| hash.clone())
}

type Hashes = Vec<((&'static str, &'static str), String)>;

fn hashes() -> &'static Hashes {
    static HASHES: OnceLock<Hashes> = OnceLock::new();
    HASHES.get_or_init(|| {
        let served = kinds::group_versions()
            .into_iter()
            .flat_map(|(g, versions)| versions.into_iter().map(move |v| (g, v)));
        served.map(|(group, version)| ((group, version), hash(&render(group, version)))).collect()
    })
}

fn hash(document: &str) -> String {
    Sha256::digest(document.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// `api/v1` or `apis/apps/v1`.
fn api_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Writes a document piece by piece: as a tree it would take some megabytes.
fn render(group: &str, version: &str) -> String {
    let mut out =
        String::from(r#"{"openapi":"3.0.0","info":{"title":"Kubernetes","version":"v1.33.0"},"paths":"#);
    let roots = paths::write(&mut out, group, version);
    out.push_str(r#","components":{"schemas":{"#);
    schemas::write(&mut out, &roots);
    out.push_str("}}}");
    out
}

#[cfg(test)]
mod tests;
