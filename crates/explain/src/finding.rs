//! What is wrong: the answer of a cause.

use serde::Serialize;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Traffic does not arrive.
    Error,
    /// Some of it does not, or it arrives in a way that surprises.
    Warning,
    /// It may be meant so.
    Hint,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Object {
    /// `Service`.
    pub kind: &'static str,
    /// Its namespace; empty for a cluster-scoped one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Object {
    /// An object of a namespace.
    pub fn new(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// What is wrong, how one can see it, and what to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause's name: `selector-matches-nothing`.
    pub cause: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub object: Object,
    /// One sentence.
    pub message: String,
    /// What it was concluded from, a line each.
    pub evidence: Vec<String>,
    /// The command that mends it, or that shows what only its owner can mend.
    pub fix: String,
}

impl Finding {
    /// Adds a line of evidence.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Says what to type.
    #[must_use]
    pub fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = command.into();
        self
    }
}
