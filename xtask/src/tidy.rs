//! The house rules, as a test: what a reviewer would otherwise have to look for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom, from top to bottom; the picture in ARCHITECTURE.md says the same.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "sealane",
        &[
            "apiserver",
            "controllers",
            "dns",
            "edge",
            "explain",
            "model",
            "netlink",
            "nft",
            "node",
            "proxy",
            "storage",
        ],
    ),
    ("sealane-apiserver", &["storage"]),
    ("sealane-controllers", &["explain"]),
    ("sealane-proxy", &["model", "nft"]),
    ("sealane-dns", &["model"]),
    ("sealane-node", &["netlink"]),
    ("sealane-edge", &["model"]),
    ("sealane-explain", &[]),
    ("sealane-storage", &[]),
    ("sealane-model", &[]),
    ("sealane-netlink", &[]),
    ("sealane-nft", &[]),
    ("xtask", &[]),
];

/// What the pure crates may not depend on.
const IMPURE: &[&str] = &["tokio", "kube", "k8s-openapi", "hyper", "rustix", "libc", "sealane-netlink"];
const PURE: &[&str] = &["sealane-explain", "sealane-model", "sealane-nft"];

/// Lines a file may have; a file of tests, which are mostly tables, may have more.
const LINES: usize = 300;
const LINES_OF_TESTS: usize = 500;

/// Files over the limit with what they may have, which only goes down, and why.
const LONG: &[(&str, usize, &str)] = &[
    ("crates/apiserver/src/auth/bootstrap.rs", 340, "a table of roles"),
    ("crates/apiserver/src/kinds.rs", 460, "the table of kinds"),
    ("crates/apiserver/src/registry/delete.rs", 330, "to be split: plan and transaction"),
    ("crates/node/src/agent/react.rs", 340, "to be split: probes and exits"),
    ("crates/proxy/src/plan/layout.rs", 320, "the layout of the ruleset, kept in one place"),
    ("crates/proxy/src/plan/rules.rs", 320, "the table of rules"),
];

/// Runs every rule on the tree at `root`; returns what breaks one.
pub(crate) fn tidy(root: &Path) -> Vec<String> {
    let files = rust_files(root);
    let mut broken = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        broken.extend(header(&name, &text));
        broken.extend(size(&name, &text));
        broken.extend(module_tree(root, file, &name));
    }
    broken.extend(arrows(root));
    broken.extend(documents(root));
    broken
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-co", "--exclude-standard", "*.rs"])
        .output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().map(|line| root.join(line)).filter(|path| path.exists()).collect()
}

fn header(name: &str, text: &str) -> Option<String> {
    (!text.starts_with("//! "))
        .then(|| format!("{name}: begins without a `//!` line that says what it is for"))
}

fn size(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let tests = name.contains("/tests/") || name.ends_with("tests.rs");
    let usual = if tests { LINES_OF_TESTS } else { LINES };
    let limit = LONG.iter().find(|(path, ..)| *path == name).map_or(usual, |(_, limit, _)| *limit);
    (lines > limit)
        .then(|| format!("{name}: {lines} lines; split it, or name it in xtask's LONG with the reason"))
}

/// A file must be named by a `mod` of its parent, else it is dead text that the compiler never sees.
fn module_tree(root: &Path, file: &Path, name: &str) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    let directory = file.parent()?;
    let is_root = matches!(stem, "main" | "lib")
        || ["tests", "examples", "benches", "bin", "targets"].iter().any(|d| directory.ends_with(d));
    if is_root {
        return None;
    }
    let (module, parent) = if stem == "mod" {
        (directory.file_name()?.to_str()?, directory.parent()?)
    } else {
        (stem, directory)
    };
    let siblings = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let candidates = siblings.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let named = candidates
        .chain([parent.with_extension("rs")])
        .filter_map(|c| std::fs::read_to_string(c).ok())
        .any(|text| {
            let by_name = |line: &str| line.ends_with(&format!("mod {module};"));
            let by_path = format!("#[path = \"{module}.rs\"]");
            text.lines().map(str::trim).any(|line| by_name(line) || line.contains(&by_path))
        });
    (!named && file.starts_with(root)).then(|| format!("{name}: no `mod {module};` names it"))
}

fn arrows(root: &Path) -> Vec<String> {
    let graph = dependencies(root);
    let mut broken = Vec::new();
    for (package, found) in &graph {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == package) else {
            broken.push(format!("{package}: not in the picture of crates"));
            continue;
        };
        for name in found {
            let ours = name.strip_prefix("sealane-");
            if ours.is_some_and(|short| !allowed.contains(&short)) {
                broken.push(format!("{package} imports {name}: arrows only go down"));
            }
            if PURE.contains(&package.as_str()) && IMPURE.contains(&name.as_str()) {
                broken.push(format!("{package} is pure and imports {name}"));
            }
        }
    }
    broken
}

/// The normal dependencies of every member, by package name.
fn dependencies(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
    let output = Command::new(env!("CARGO")).current_dir(root).args(arguments).output().expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let normal = |package: &serde_json::Value| {
        let list = package["dependencies"].as_array().cloned().unwrap_or_default();
        list.iter().filter(|d| d["kind"].is_null()).map(|d| text(&d["name"])).collect()
    };
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

/// ARCHITECTURE.md names every crate, and the README's commands are the ones that CI runs.
fn documents(root: &Path) -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
    let (architecture, readme, ci) = (read("ARCHITECTURE.md"), read("README.md"), read(".ci/run"));
    let crates = std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let names = crates.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut broken: Vec<String> = names
        .filter(|name| !architecture.contains(&format!("`{name}`")))
        .map(|name| format!("ARCHITECTURE.md does not name the crate `{name}`"))
        .collect();
    for (text, place) in [(&readme, "README.md"), (&ci, ".ci/run")] {
        if !text.contains("scripts/test.sh") {
            broken.push(format!("{place} does not run scripts/test.sh"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_keeps_the_rules() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let broken = tidy(root);
        assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    }

    #[test]
    fn each_rule_can_fail() {
        assert!(header("a.rs", "fn main() {}").is_some());
        assert!(size("a.rs", &"\n".repeat(LINES + 1)).is_some());
        let directory = std::env::temp_dir().join(format!("tidy-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("src")).unwrap();
        std::fs::write(directory.join("src/lib.rs"), "mod known;").unwrap();
        assert!(module_tree(&directory, &directory.join("src/known.rs"), "known.rs").is_none());
        assert!(module_tree(&directory, &directory.join("src/lost.rs"), "lost.rs").is_some());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
