//! The documentation of the causes is what their table says. `UPDATE_DOCS=1` writes it.

use crate::support;
use std::path::Path;

#[test]
fn the_page_is_the_table() {
    let files = support::files();
    let example = |cause: &str| {
        let found = support::findings(&files[cause][0]);
        found.into_iter().find(|finding| finding.cause == cause).unwrap()
    };
    let page = sealane_explain::page(example);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/causes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let same = std::fs::read_to_string(&path).unwrap_or_default() == page;
    assert!(same, "docs/causes.md is not what the table of causes says: UPDATE_DOCS=1 writes it anew");
}
