//! The ways to a Service.

pub(super) mod external_name_address;
