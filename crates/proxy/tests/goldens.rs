//! From Services to elements, as files to read: `tests/goldens/*.txt`. `UPDATE_GOLDENS=1` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{node, service};
use sealane_nft::{Table, print, print_elements};
use sealane_proxy::plan::{Layout, Options, plan_service, skeleton};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn options() -> Options {
    Options {
        node_addresses: vec!["10.123.0.2".parse().unwrap()],
        service_cidrs: vec![("10.96.0.0".parse().unwrap(), 16)],
        loopback_source: Some("169.254.30.1".parse().unwrap()),
        ..Options::default()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn compare(path: &Path, expected: &str, actual: &str) {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, actual).unwrap();
    } else {
        assert_eq!(expected, actual, "{}", path.display());
    }
}

/// Services before `---`, separated by empty lines; the elements they add to the table after it.
#[test]
fn services_become_elements() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let Some((services, _)) = text.split_once("---\n") else { continue };
        let mut layout = Layout::new(options(), None);
        let mut findings = Vec::new();
        for view in services.split("\n\n").map(service) {
            let (plan, found) = plan_service(&view, &node(), &options());
            findings.extend(found);
            layout.set_service(&view.name, Some(plan));
        }
        let bare = print_elements(&skeleton(&options()));
        let bare: BTreeSet<&str> = bare.lines().collect();
        let elements = print_elements(layout.table());
        let mut actual = format!("{services}---\n");
        elements.lines().filter(|line| !bare.contains(line)).for_each(|line| actual += &format!("{line}\n"));
        findings
            .iter()
            .for_each(|f| actual += &format!("finding {} {}: {}\n", f.service.name, f.reason, f.message));
        compare(&path, &text, &actual);
        seen += 1;
    }
    assert!(seen >= 4, "the goldens are there");
}

/// The constant shape, with the first balancing chains of each kind.
#[test]
fn the_shape_of_the_table() {
    let path = folder().join("table.nft");
    let few = Options { exact_widths: 2, ..options() };
    let mut table: Table = skeleton(&few);
    let shown = ["lb-2"];
    table.chains.retain(|name, _| !name.starts_with("lb-") || shown.contains(&&**name));
    compare(&path, &std::fs::read_to_string(&path).unwrap_or_default(), &print(&table));
}
