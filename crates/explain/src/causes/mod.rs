//! The table of causes. A new one is a file and a line here; its cases lie in `tests/cases/NAME.yml`.

mod dns;
mod nodes;
mod pods;
mod ports;
mod reach;
mod selector;

use crate::cause::Cause;

/// All causes, in the order of the documentation.
pub static CAUSES: &[&Cause] = &[
    // which Pods
    &selector::nothing::CAUSE,
    // what they do
    &pods::not_ready::CAUSE,
    // ports
    // reach
    &reach::external_name_address::CAUSE,
    // DNS
    &dns::no_endpoints::CAUSE,
    // nodes
];
