//! Reads Kubernetes' OpenAPI definitions and keeps what the served kinds reach.

use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, path::Path};

/// Types by short name (`core.v1.Service`, `meta.v1.ObjectMeta`, `IntOrString`).
pub(super) type Types = BTreeMap<String, Value>;

const PREFIXES: [&str; 5] = [
    "io.k8s.api.",
    "io.k8s.apimachinery.pkg.apis.",
    "io.k8s.apimachinery.pkg.api.resource.",
    "io.k8s.apimachinery.pkg.runtime.",
    "io.k8s.apimachinery.pkg.util.intstr.",
];

/// All definitions of the file.
pub(super) fn read(path: &Path) -> Result<Types, String> {
    let text = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let mut file: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|e| format!("cannot parse {}: {e}", path.display()))?;
    let Some(Value::Object(all)) = file.remove("$defs") else {
        return Err(format!("{} has no $defs", path.display()));
    };
    Ok(all.into_iter().map(|(name, schema)| (short(&name).to_owned(), schema)).collect())
}

/// The name without the package prefix that its group implies.
pub(super) fn short(name: &str) -> &str {
    let name = name.strip_prefix("#/$defs/").unwrap_or(name);
    PREFIXES.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name)
}

/// The definitions that the kinds of `served` and their lists reach.
pub(super) fn reachable(all: &Types, served: &str) -> Result<Types, String> {
    let mut kept = Types::new();
    for line in served.lines() {
        let mut words = line.split(' ');
        let group = words.next().unwrap_or_default();
        for kind in words {
            let name = format!("{group}.{kind}");
            if !all.contains_key(&name) {
                return Err(format!("the definitions have no {name}"));
            }
            keep(all, &name, &mut kept);
            keep(all, &format!("{name}List"), &mut kept);
        }
    }
    Ok(kept)
}

fn keep(all: &Types, name: &str, kept: &mut Types) {
    let Some(schema) = all.get(name) else { return };
    if kept.insert(name.to_owned(), schema.clone()).is_none() {
        for reference in references(schema) {
            keep(all, short(&reference), kept);
        }
    }
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => vec![target.to_owned()],
                _ => references(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
