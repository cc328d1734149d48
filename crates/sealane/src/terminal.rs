//! What a command says to the person who typed it: plain lines, each step with its time.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the one place that speaks to the terminal"
)]

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Prints one line of a command's result. A reader that has gone away (`sealane up | head`) is no reason to stop.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a command's error.
pub(crate) fn error(error: &dyn std::error::Error) {
    complain("sealane", &sentence(error));
}

/// Says on standard error what went wrong, and who says so.
pub(crate) fn complain(who: &str, what: &str) {
    let _ = writeln!(std::io::stderr(), "{who}: {what}");
}

/// An error with all its causes, in one sentence.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The steps of a longer command, each printed when it is done, with the time it took.
pub(crate) struct Steps {
    started: Instant,
    last: Instant,
    color: bool,
}

impl Steps {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { started: now, last: now, color: std::io::stdout().is_terminal() }
    }

    /// Says that a step is done.
    pub(crate) fn done(&mut self, text: &str) {
        let took = self.last.elapsed().as_millis();
        self.last = Instant::now();
        let tick = if self.color { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" };
        line(&format!("  {tick} {text} ({took} ms)"));
    }

    /// Milliseconds since the command began.
    pub(crate) fn total_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }
}

/// A table with aligned columns, as kubectl prints one.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let print = |cells: &[&str]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        line(padded.join("   ").trim_end());
    };
    print(header);
    for row in rows {
        print(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
