//! Names.

pub(super) mod host_network;
pub(super) mod name_too_long;
pub(super) mod namespace_shadows_domain;
pub(super) mod ndots;
pub(super) mod no_endpoints;

mod owner;
