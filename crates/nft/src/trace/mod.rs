//! The tracer: what becomes of a packet in a table.
//!
//! Follows netfilter's order: hooks by priority; nat chains for the first packet of a flow only; after output and
//! prerouting the routing decision; what stays on the machine goes to input. Randomness is handed in.

mod machine;
mod packet;
mod path;

pub use packet::{FlowState, Ingress, Outcome, Packet, Trace};
pub use path::Tracer;
