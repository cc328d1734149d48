//! The Node object and its Lease: registration, addresses, capacity, conditions, heart-beat.

mod heartbeat;
mod object;

pub(crate) use heartbeat::{Beat, run};
pub(crate) use object::Facts;
