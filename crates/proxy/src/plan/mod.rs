//! What a node must do with packets to Services: pure, and decided for one Service at a time.
//!
//! `service` turns one Service into a `ServicePlan`; `layout` folds all plans into the elements of the constant table
//! that `rules` describes, with ids and slots that stay where they are when something else changes.

mod adopt;
mod claims;
mod edits;
mod finding;
mod layout;
mod options;
mod placement;
mod rules;
mod service;
mod stale;
mod words;

pub use finding::Finding;
pub use layout::{Layout, Update};
pub use options::Options;
pub use placement::place;
pub use rules::{TABLE, skeleton};
pub use service::{
    Front, FrontPlan, FrontRank, FrontTarget, Group, GroupKey, ServicePlan, Spread, plan_service,
};
pub use stale::StaleFlow;

use sealane_model::Protocol;

/// The number of a protocol in an IP header.
pub(crate) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
