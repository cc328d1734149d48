//! Names.

pub(super) mod no_endpoints;
