//! The ports between a client and a container.

pub(super) mod app_protocol_contradicts;
pub(super) mod listens_on_loopback;
pub(super) mod named_port_missing;
pub(super) mod named_port_partly_missing;
pub(super) mod protocol_mismatch;
pub(super) mod slice_port_name_differs;
pub(super) mod target_port_not_served;
pub(super) mod target_port_undeclared;

mod arrival;
