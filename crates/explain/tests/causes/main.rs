//! Every cause by its cases, and by all others': no case may find anything that it does not name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod page;
mod summary;
mod support;

use sealane_explain::{CAUSES, Finding};
use support::{Case, Expected};

fn expected(finding: &Finding) -> Expected {
    Expected {
        severity: format!("{:?}", finding.severity).to_lowercase(),
        cause: finding.cause.into(),
        object: finding.object.to_string(),
        says: finding.message.clone(),
        fix: finding.fix.clone(),
    }
}

/// As a case file says it: the cause only where it is another than the file's.
fn as_yaml(file: &str, found: &[Expected]) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let lines = found.iter().map(|e| {
        let cause = if e.cause == file { String::new() } else { format!("    cause: {}\n", e.cause) };
        let (says, fix) = (quote(&e.says), quote(&e.fix));
        format!(
            "  - severity: {}\n{cause}    object: {}\n    says: {says}\n    type: {fix}\n",
            e.severity, e.object
        )
    });
    lines.collect()
}

/// Writes what was found into a case file, if `UPDATE_CASES` asks for it: to be read before it is committed.
fn update(name: &str, found: &[Vec<Expected>]) {
    let path = support::directory().join(format!("cases/{name}.yml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let cases = text.split_inclusive('\n').fold(Vec::<String>::new(), |mut cases, line| {
        if line.starts_with("- case:") || cases.is_empty() {
            cases.push(String::new());
        }
        cases.last_mut().unwrap().push_str(line);
        cases
    });
    let without = |case: &str| case.split("  finds:").next().unwrap().to_owned();
    let with = cases.iter().zip(found).map(|(case, found)| {
        without(case)
            + &if found.is_empty() { String::new() } else { format!("  finds:\n{}", as_yaml(name, found)) }
    });
    std::fs::write(path, with.collect::<String>()).unwrap();
}

#[test]
fn every_case_finds_what_it_names_and_nothing_else() {
    let mut wrong = String::new();
    for (name, cases) in support::files() {
        let find = |case: &Case| support::findings(case).iter().map(expected).collect::<Vec<_>>();
        let found: Vec<Vec<Expected>> = cases.iter().map(find).collect();
        if std::env::var_os("UPDATE_CASES").is_some() {
            update(&name, &found);
            continue;
        }
        for (case, found) in cases.into_iter().zip(found) {
            let cause =
                |e: Expected| if e.cause.is_empty() { Expected { cause: name.clone(), ..e } } else { e };
            let wanted: Vec<Expected> = case.finds.into_iter().map(cause).collect();
            if found != wanted {
                let (found, wanted) = (as_yaml(&name, &found), as_yaml(&name, &wanted));
                wrong += &format!("\n{name}.yml, {}: found\n{found}instead of\n{wanted}", case.case);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_cause_has_a_case_that_finds_it_first_and_one_that_does_not() {
    let files = support::files();
    let finds = |name: &str, case: &Case| case.finds.iter().any(|e| e.cause.is_empty() || e.cause == name);
    for cause in CAUSES {
        let cases =
            files.get(cause.name).unwrap_or_else(|| panic!("tests/cases/{}.yml is missing", cause.name));
        assert!(
            finds(cause.name, &cases[0]),
            "{}: its first case is the example of the documentation",
            cause.name
        );
        assert!(cases.iter().any(|case| !finds(cause.name, case)), "{}: no case without it", cause.name);
    }
    for name in files.keys() {
        assert!(
            name == "healthy" || CAUSES.iter().any(|cause| cause.name == name),
            "{name}.yml is for no cause"
        );
    }
}

#[test]
fn findings_say_all_that_they_should() {
    for (name, cases) in support::files() {
        for finding in cases.iter().flat_map(support::findings) {
            assert!(finding.message.ends_with('.'), "{name}: {finding:?}");
            assert!(!finding.fix.is_empty() && !finding.evidence.is_empty(), "{name}: {finding:?}");
        }
    }
}
