//! What is wrong with an object that is served nevertheless.

/// Something in an object that the data path cannot use as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, as a path such as `spec.clusterIPs[1]`.
    pub field: String,
    /// What is wrong and what is done instead.
    pub message: String,
}

/// Findings while an object is projected.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { field: field.into(), message: message.into() });
    }

    /// Parses, or finds and leaves out.
    pub(crate) fn parse<T: std::str::FromStr>(&mut self, field: impl Into<String>, text: &str) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.add(field, format!("{text:?} is not valid; it is left out"));
        }
        parsed
    }

    /// A port number from 1 to 65,535, or finds and leaves out.
    pub(crate) fn port(&mut self, field: impl Into<String>, number: i32) -> Option<u16> {
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            self.add(field, format!("{number} is not a port; it is left out"));
        }
        port
    }
}
