//! What is printed: sentences for people, JSON for scripts.

use super::Report;
use crate::cli::CommandError;
use crate::terminal::{complain, line};
use sealane_explain::{Finding, Severity};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// "nothing is wrong with the 12 Services of namespace default"
pub(super) fn total(services: usize, place: &str, findings: usize) -> String {
    let services = if services == 1 { "1 Service".to_owned() } else { format!("{services} Services") };
    match findings {
        0 => format!("{services} in {place}: nothing is wrong"),
        1 => format!("{services} in {place}: 1 finding"),
        many => format!("{services} in {place}: {many} findings"),
    }
}

/// Prints sentences.
pub(super) fn text(report: &Report) {
    let color = std::io::stdout().is_terminal();
    for (object, summary) in &report.summaries {
        line(&if object.is_empty() { summary.clone() } else { format!("{object}: {summary}") });
    }
    for finding in &report.findings {
        line("");
        for part in lines(finding, color) {
            line(&part);
        }
    }
    for skipped in &report.skipped {
        let causes = skipped.causes.join(", ");
        complain(
            "sealane",
            &format!("not looked for, since {} cannot be read ({}): {causes}", skipped.resource, skipped.why),
        );
    }
}

fn lines(finding: &Finding, color: bool) -> Vec<String> {
    let (mark, code) = match finding.severity {
        Severity::Error => ("✗", "31"),
        Severity::Warning => ("!", "33"),
        Severity::Hint => ("·", "36"),
    };
    let mark = if color { format!("\u{1b}[{code}m{mark}\u{1b}[0m") } else { mark.to_owned() };
    let mut lines = vec![format!("{mark} {}", finding.message)];
    lines.extend(finding.evidence.iter().map(|evidence| format!("    {evidence}")));
    lines.push(format!("  → {}", finding.fix));
    lines.push(format!("    ({}, {}, {})", severity(finding.severity), finding.cause, finding.object));
    lines
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}

/// Prints `{"findings": […], "objects": […], "notLookedFor": […]}`.
pub(super) fn json(report: &Report) -> Result<(), CommandError> {
    let skipped = report.skipped.iter();
    let skipped: Vec<Value> =
        skipped.map(|s| json!({"resource": s.resource, "why": s.why, "causes": s.causes})).collect();
    let named = report.summaries.iter().filter(|(object, _)| !object.is_empty());
    let objects: Vec<Value> =
        named.map(|(object, summary)| json!({"object": object, "summary": summary})).collect();
    let value = json!({"findings": report.findings, "objects": objects, "notLookedFor": skipped});
    line(&serde_json::to_string_pretty(&value)?);
    Ok(())
}
